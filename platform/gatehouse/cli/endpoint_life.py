"""`gatehouse endpoints deprecate | undeprecate | extend | unextend | retire`: how an endpoint ends."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from gatehouse.cli.deployment import open_deployment
from gatehouse.cli.endpoint_facts import ApiVersion, Model, facts, say_life
from gatehouse.cli.output import Json, example, print_json
from gatehouse.cli.wishes import whole_day
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.transitions import Announcement
from gatehouse.operating import life


def deprecate(
    model: Model,
    api_version: ApiVersion,
    sunset: Annotated[str, typer.Option("--sunset", metavar="DATE", help="The last day (UTC) on which it answers.")],
    successor: Annotated[str, typer.Option("--successor", metavar="vN", help="The API version to move to.")],
    reason: Annotated[str | None, typer.Option("--reason", help="One line for callers.")] = None,
    link: Annotated[
        str | None,
        typer.Option(
            "--link", metavar="URL", help="A page that says how to move; else the guide, or without rules the successor's contract."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Announce an endpoint's end: it goes on, and tenants are told until when and what follows. Again, to change the day."""
    said = Announcement(whole_day(sunset), successor, reason, link)
    with open_deployment() as deployment:
        endpoint = life.deprecate(deployment, model, api_version, said)
    _answer(endpoint, json)


def undeprecate(model: Model, api_version: ApiVersion, json: Json = False) -> None:
    """Take a deprecation back, or a retirement: the endpoint serves without an end. Extensions and brownouts are dropped."""
    with open_deployment() as deployment:
        endpoint = life.undeprecate(deployment, model, api_version)
    _answer(endpoint, json)


def extend(
    model: Model,
    api_version: ApiVersion,
    tenant: Annotated[str, typer.Option("--tenant", help="Who may call it longer.")],
    until: Annotated[str, typer.Option("--until", metavar="DATE", help="The last day (UTC) on which it answers this tenant.")],
    json: Json = False,
) -> None:
    """Let one tenant call a deprecated endpoint past its sunset. Again, to change the day."""
    day = whole_day(until)
    with open_deployment() as deployment:
        endpoint = life.extend(deployment, model, api_version, tenant, day)
    _answer(endpoint, json)


def unextend(
    model: Model,
    api_version: ApiVersion,
    tenant: Annotated[str, typer.Option("--tenant", help="Whose extension ends.")],
    json: Json = False,
) -> None:
    """Take a tenant's extension back: the endpoint ends for it as for all others. It is told."""
    with open_deployment() as deployment:
        endpoint = life.unextend(deployment, model, api_version, tenant)
    _answer(endpoint, json)


def retire(
    model: Model,
    api_version: ApiVersion,
    force: Annotated[bool, typer.Option("--force", help="Also while it is in use.")] = False,
    json: Json = False,
) -> None:
    """End an endpoint now: it answers 410, with the successor if it has one. Refused while it has had calls in the last 7 days."""
    with open_deployment() as deployment:
        endpoint = life.retire(deployment, model, api_version, force=force)
    _answer(endpoint, json)


def _answer(endpoint: Endpoint, json: bool) -> None:
    if json:
        print_json(facts(endpoint, datetime.now(UTC)))
        return
    say_life(endpoint, datetime.now(UTC))


COMMANDS = (
    (deprecate, example("gatehouse endpoints deprecate iris v1 --sunset 2027-06-30 --successor v2")),
    (undeprecate, example("gatehouse endpoints undeprecate iris v1")),
    (extend, example("gatehouse endpoints extend iris v1 --tenant acme --until 2027-09-30")),
    (unextend, example("gatehouse endpoints unextend iris v1 --tenant acme")),
    (retire, example("gatehouse endpoints retire iris v1")),
)


def add_life_commands(app: typer.Typer) -> None:
    """Beside the commands of releases."""
    for command, epilog in COMMANDS:
        app.command(epilog=epilog)(command)
