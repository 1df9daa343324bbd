"""`gatehouse endpoints`: what serves each model + API version."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from gatehouse.cli.deployment import open_deployment
from gatehouse.cli.endpoint_bridge import add_bridge_commands
from gatehouse.cli.endpoint_brownouts import add_brownout_commands
from gatehouse.cli.endpoint_facts import ApiVersion, Model, facts, say_life, say_shadow
from gatehouse.cli.endpoint_life import add_life_commands
from gatehouse.cli.endpoint_shadow import add_shadow_commands
from gatehouse.cli.output import Json, example, print_json, print_table
from gatehouse.composition.deployment_status import DeploymentStatus, read_status
from gatehouse.migration.bridging import bridges_to
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.store import list_endpoints, named_endpoint
from gatehouse.operating import releasing
from gatehouse.operating.life import activate

Force = Annotated[bool, typer.Option("--force", help="Also where callers lose something that the contract gives them now.")]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="What serves each model + API version.",
    epilog=example("gatehouse endpoints list"),
)
add_life_commands(app)
add_brownout_commands(app)
add_bridge_commands(app)
add_shadow_commands(app)


@app.command("list", epilog=example("gatehouse endpoints list --json"))
def show_all(json: Json = False) -> None:
    """List all endpoints with their state and the model version that serves them."""
    with open_deployment() as deployment, deployment.database.read() as session:
        found = list_endpoints(session)
    now = datetime.now(UTC)
    if json:
        print_json([facts(endpoint, now) for endpoint in found])
        return
    if not found:
        typer.echo("there are no endpoints yet: gatehouse models publish FILE --sample rows.csv")
        return
    print_table(
        ("model", "API version", "state", "sunset", "model version", "canary", "before"),
        [_row(endpoint, now) for endpoint in found],
    )


@app.command("show", epilog=example("gatehouse endpoints show iris v1"))
def show_one(model: Model, api_version: ApiVersion, json: Json = False) -> None:
    """Show which model versions serve an endpoint, and what a rollback would do."""
    with open_deployment() as deployment, deployment.database.read() as session:
        endpoint = named_endpoint(session, model, api_version)
        bridged = bridges_to(endpoint, list_endpoints(session))
        not_loaded = _not_loaded(read_status(session, deployment.settings), endpoint)
    if json:
        print_json(facts(endpoint, datetime.now(UTC)) | {"not_loaded": not_loaded})
        return
    _say(endpoint)
    for process, reason in not_loaded.items():
        typer.echo(f"NOT LOADED by process {process}: {reason}")
    for each in bridged:
        typer.echo(f"its model answers the calls of {each.name} too, which is bridged to it")


@app.command(epilog=example("gatehouse endpoints release iris v1 --version 1.0.1 --canary 10"))
def release(
    model: Model,
    api_version: ApiVersion,
    version: Annotated[str, typer.Option("--version", help="The published model version that shall serve it.")],
    canary: Annotated[
        int | None,
        typer.Option("--canary", metavar="PERCENT", min=1, max=99, help="Only for this share of the keys, always the same ones."),
    ] = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Let a published model version serve an endpoint; running servers change over within a second, once it is loaded."""
    with open_deployment() as deployment:
        endpoint = releasing.release(deployment, model, api_version, version, canary, force=force)
    _answer(endpoint, json)


@app.command(epilog=example("gatehouse endpoints promote iris v1"))
def promote(model: Model, api_version: ApiVersion, json: Json = False) -> None:
    """Let the canary serve everybody."""
    with open_deployment() as deployment:
        endpoint = releasing.promote(deployment, model, api_version)
    _answer(endpoint, json)


@app.command(epilog=example("gatehouse endpoints rollback iris v1"))
def rollback(model: Model, api_version: ApiVersion, force: Force = False, json: Json = False) -> None:
    """End the canary, or where there is none, go back to the version before."""
    with open_deployment() as deployment:
        endpoint = releasing.rollback(deployment, model, api_version, force=force)
    _answer(endpoint, json)


@app.command("activate", epilog=example("gatehouse endpoints activate iris v2"))
def end_preview(model: Model, api_version: ApiVersion, json: Json = False) -> None:
    """End an endpoint's preview: grants of the whole model cover it from now on."""
    with open_deployment() as deployment:
        endpoint = activate(deployment, model, api_version)
    if json:
        print_json(facts(endpoint, datetime.now(UTC)))
        return
    typer.echo(f"{endpoint.name} is {endpoint.state} and {_served(endpoint)}")
    typer.echo("who may call it: gatehouse grants list")


def _row(endpoint: Endpoint, now: datetime) -> tuple[str, ...]:
    canary = f"{endpoint.canary_version} ({endpoint.canary_percent} %)" if endpoint.canary_version else "none"
    serves = f"bridged to {endpoint.bridged_to}" if endpoint.bridged_to else endpoint.stable_version
    versions = (serves, canary, endpoint.previous_version or "none")
    sunset = str(endpoint.deprecation.sunset) if endpoint.deprecation else "none"
    return (endpoint.model, endpoint.api_version, endpoint.state_at(now), sunset, *versions)


def _answer(endpoint: Endpoint, json: bool) -> None:
    if json:
        print_json(facts(endpoint, datetime.now(UTC)))
        return
    _say(endpoint)
    typer.echo("a version that cannot be loaded takes no calls: /health/ready says why")


def _not_loaded(status: DeploymentStatus, endpoint: Endpoint) -> dict[str, str]:
    """Processes that serve without it, and why."""
    reasons = {each.process.id: each.standing.not_served.get(endpoint.name) for each in status.serving}
    return {process: reason for process, reason in reasons.items() if reason is not None}


def _say(endpoint: Endpoint) -> None:
    """What callers get now, and what can be done next."""
    place = f"{endpoint.model} {endpoint.api_version}"
    if endpoint.deprecation is not None or endpoint.state == "retired":
        say_life(endpoint, datetime.now(UTC))
    typer.echo(f"{endpoint.name} is {endpoint.state} and {_served(endpoint)}")
    say_shadow(endpoint)
    if endpoint.canary_version is not None:
        typer.echo(f"to let {endpoint.canary_version} serve everybody: gatehouse endpoints promote {place}")
        typer.echo(f"to end the canary: gatehouse endpoints rollback {place}")
    elif endpoint.bridged_to is not None:
        typer.echo(f"to take the bridge away: gatehouse endpoints unbridge {place}")
    elif endpoint.previous_version is not None:
        typer.echo(f"to go back to {endpoint.previous_version}: gatehouse endpoints rollback {place}")


def _served(endpoint: Endpoint) -> str:
    if endpoint.bridged_to is not None:
        return f"bridged to {endpoint.bridged_to}, whose model answers by the contract of {endpoint.model} {endpoint.stable_version}"
    canary = f", {endpoint.canary_percent} % of the keys by {endpoint.canary_version}" if endpoint.canary_version else ""
    return f"served by {endpoint.model} {endpoint.stable_version}{canary}"
