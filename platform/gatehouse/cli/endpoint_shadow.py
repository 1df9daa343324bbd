"""`gatehouse endpoints shadow | unshadow`: another version scores an endpoint's calls too, and only differences are kept."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from gatehouse.cli.deployment import open_deployment
from gatehouse.cli.endpoint_facts import ApiVersion, Model, facts
from gatehouse.cli.endpoint_shadows import shadows
from gatehouse.cli.output import Json, example, print_json
from gatehouse.operating.shadowing import begin_shadow, end_shadow


def shadow(
    model: Model,
    api_version: ApiVersion,
    other: Annotated[str, typer.Option("--with", metavar="vN|VERSION", help="A later API version, or another version of this one.")],
    share: Annotated[int, typer.Option("--share", metavar="PERCENT", help="Of the calls, 1 to 100.")] = 100,
    json: Json = False,
) -> None:
    """Score an endpoint's calls by another version too, after they were answered: what differs is counted, no input is kept.

    It never delays or changes an answer. With an API version (v2) its stable version scores, also when that changes.
    """
    with open_deployment() as deployment:
        endpoint, version = begin_shadow(deployment, model, api_version, other, share)
    if json:
        print_json(facts(endpoint, datetime.now(UTC)))
        return
    typer.echo(f"{share} % of the calls of {endpoint.name} are scored by {model} {version} too, once they are answered")
    typer.echo(f"what came of it: {figures_command(model, api_version, other)}")
    typer.echo(f"to end it: gatehouse endpoints unshadow {model} {api_version}")


def unshadow(model: Model, api_version: ApiVersion, json: Json = False) -> None:
    """End an endpoint's shadow. What it came to is kept."""
    with open_deployment() as deployment:
        endpoint = end_shadow(deployment, model, api_version)
    if json:
        print_json(facts(endpoint, datetime.now(UTC)))
        return
    typer.echo(f"{endpoint.name} is scored by {model} {endpoint.stable_version} alone")
    typer.echo(f"what its shadows came to: gatehouse endpoints shadows {model} {api_version}")


def figures_command(model: str, api_version: str, other: str) -> str:
    """What reads the figures: beside who has moved where partners are to move, else by themselves."""
    if other.startswith("v"):
        return f"gatehouse migration report {model} {api_version} {other}"
    return f"gatehouse endpoints shadows {model} {api_version}"


COMMANDS = (
    (shadow, example("gatehouse endpoints shadow iris v1 --with v2 --share 100")),
    (shadows, example("gatehouse endpoints shadows iris v1")),
    (unshadow, example("gatehouse endpoints unshadow iris v1")),
)


def add_shadow_commands(app: typer.Typer) -> None:
    """Beside the commands of releases."""
    for command, epilog in COMMANDS:
        app.command(epilog=epilog)(command)
