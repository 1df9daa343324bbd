"""`gatehouse endpoints deprecate | undeprecate | extend | retire`: how an endpoint ends."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from sqlmodel import Session

from gatehouse.cli.deployment import open_deployment
from gatehouse.cli.endpoint_facts import ApiVersion, Model, facts, say_life
from gatehouse.cli.heralds import herald_of
from gatehouse.cli.output import Json, example, print_json
from gatehouse.cli.wishes import whole_day
from gatehouse.errors import Refused
from gatehouse.identity.store import list_grants
from gatehouse.identity.tenants import named_tenant
from gatehouse.migration.bridging import check_still_leads
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.life_store import change_life
from gatehouse.migration.moves import ENDED
from gatehouse.migration.transitions import LIVE_DAYS, Announcement, LiveCalls, deprecated, extended, retired, undeprecated
from gatehouse.usage.figures_store import By, usage_figures


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
    with open_deployment() as deployment, deployment.database.write() as session:
        now = datetime.now(UTC)
        endpoint = change_life(
            session,
            deployment.actor,
            "deprecate",
            model,
            api_version,
            lambda seen, all_: deprecated(seen, all_, said, now),
            herald=herald_of(deployment, session),
        )
    _answer(endpoint, json)


def undeprecate(model: Model, api_version: ApiVersion, json: Json = False) -> None:
    """Take a deprecation back, or a retirement: the endpoint serves without an end. Extensions and brownouts are dropped."""
    with open_deployment() as deployment, deployment.database.write() as session:
        herald = herald_of(deployment, session)
        endpoint = change_life(session, deployment.actor, "undeprecate", model, api_version, _back, herald=herald)
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
    with open_deployment() as deployment, deployment.database.write() as session:
        now, tenant_id = datetime.now(UTC), granted(session, tenant, model, api_version)
        endpoint = change_life(
            session,
            deployment.actor,
            "extend",
            model,
            api_version,
            lambda seen, _all: extended(seen, tenant_id, tenant, day, now),
            herald=herald_of(deployment, session),
        )
    _answer(endpoint, json)


def retire(
    model: Model,
    api_version: ApiVersion,
    force: Annotated[bool, typer.Option("--force", help="Also while it is in use.")] = False,
    json: Json = False,
) -> None:
    """End an endpoint now: it answers 410, which names the successor. Refused while it has had calls in the last 7 days."""
    with open_deployment() as deployment, deployment.database.write() as session:
        now = datetime.now(UTC)
        live = live_calls(session, model, api_version, now)
        endpoint = change_life(
            session,
            deployment.actor,
            "retire",
            model,
            api_version,
            lambda seen, all_: retired(seen, all_, live, now, force=force),
            forced=force,
            herald=herald_of(deployment, session),
        )
    _answer(endpoint, json)


def _back(seen: Endpoint, siblings: list[Endpoint]) -> Endpoint:
    check_still_leads(seen, siblings, datetime.now(UTC))
    return undeprecated(seen)


def live_calls(session: Session, model: str, api_version: str, now: datetime) -> list[LiveCalls]:
    """Who has called an endpoint in the last 7 days, and was not told that it is gone; most calls first."""
    since = now - timedelta(days=LIVE_DAYS)
    by = (By.HOUR, By.TENANT, By.MODEL, By.API_VERSION, By.STATUS)
    calls: dict[str, int] = {}
    last: dict[str, datetime] = {}
    for each in usage_figures(session, tenant_id=None, since=since.date(), until=now.date(), by=by):
        ours = (each.model, each.api_version) == (model, api_version) and each.status != ENDED
        if ours and each.tenant and each.hour and each.hour + timedelta(hours=1) > since:
            calls[each.tenant] = calls.get(each.tenant, 0) + each.calls
            last[each.tenant] = max(each.hour, last.get(each.tenant, each.hour))
    return [LiveCalls(tenant, calls[tenant], last[tenant]) for tenant in sorted(calls, key=lambda name: (-calls[name], name))]


def granted(session: Session, tenant: str, model: str, api_version: str) -> str:
    """The tenant's id. Raises NotKnown; Refused where it may not call the endpoint."""
    known = named_tenant(session, tenant)
    if any(grant.model == model and grant.api_version in (None, api_version) for grant in list_grants(session, known)):
        return known.id
    raise Refused(f"{tenant} may not call {model}/{api_version} at all: gatehouse grants add {tenant} {model} --api-version {api_version}")


def _answer(endpoint: Endpoint, json: bool) -> None:
    if json:
        print_json(facts(endpoint, datetime.now(UTC)))
        return
    say_life(endpoint, datetime.now(UTC))


COMMANDS = (
    (deprecate, example("gatehouse endpoints deprecate iris v1 --sunset 2027-06-30 --successor v2")),
    (undeprecate, example("gatehouse endpoints undeprecate iris v1")),
    (extend, example("gatehouse endpoints extend iris v1 --tenant acme --until 2027-09-30")),
    (retire, example("gatehouse endpoints retire iris v1")),
)


def add_life_commands(app: typer.Typer) -> None:
    """Beside the commands of releases."""
    for command, epilog in COMMANDS:
        app.command(epilog=epilog)(command)
