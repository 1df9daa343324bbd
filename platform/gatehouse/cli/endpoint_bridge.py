"""`gatehouse endpoints bridge | unbridge`: an older API version is answered by its successor's model."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from gatehouse.cli.deployment import open_deployment
from gatehouse.cli.endpoint_facts import ApiVersion, Model, facts
from gatehouse.cli.output import Json, example, print_json
from gatehouse.contracts.proved_upgrade import UpgradeProof, proof_facts
from gatehouse.migration.endpoint import Endpoint
from gatehouse.operating.bridging import begin_bridge, end_bridge


def bridge(
    model: Model,
    api_version: ApiVersion,
    to: Annotated[str, typer.Option("--to", metavar="vN", help="The later API version whose model answers.")],
    json: Json = False,
) -> None:
    """Let a later API version's model answer an endpoint, through the upgrade rules; callers keep their contract."""
    with open_deployment() as deployment:
        endpoint, target, proof = begin_bridge(deployment, model, api_version, to)
    if json:
        print_json(facts(endpoint, datetime.now(UTC)) | {"proof": proof_facts([proof])[0]})
        return
    _say(endpoint, target, proof)


def unbridge(
    model: Model,
    api_version: ApiVersion,
    version: Annotated[
        str | None,
        typer.Option("--version", help="The published model version that shall serve it; unless given the one before the bridge."),
    ] = None,
    json: Json = False,
) -> None:
    """Let an endpoint be served by its own model again, which must still be published here."""
    with open_deployment() as deployment:
        endpoint = end_bridge(deployment, model, api_version, version)
    if json:
        print_json(facts(endpoint, datetime.now(UTC)))
        return
    typer.echo(f"{endpoint.name} is served by {endpoint.model} {endpoint.stable_version} again")


def _say(endpoint: Endpoint, target: Endpoint, proof: UpgradeProof) -> None:
    own, place = f"{endpoint.model} {endpoint.stable_version}", f"{endpoint.model} {endpoint.api_version}"
    typer.echo(f"{endpoint.name} is bridged to {target.api_version}: {target.model} {target.stable_version} answers its calls")
    fields = proof.refusing_fields
    if fields:
        what = "1 field" if len(fields) == 1 else f"{len(fields)} fields"
        typer.echo(f"some values of {what} are refused with 422, as the rules say: {', '.join(fields)}")
    typer.echo(str(proof))
    typer.echo(f"the model of {own} answers nothing any more and may go; its manifest, signature and contract must stay")
    typer.echo(f"to take it back: gatehouse endpoints unbridge {place}")


COMMANDS = (
    (bridge, example("gatehouse endpoints bridge iris v1 --to v2")),
    (unbridge, example("gatehouse endpoints unbridge iris v1")),
)


def add_bridge_commands(app: typer.Typer) -> None:
    """Beside the commands of releases."""
    for command, epilog in COMMANDS:
        app.command(epilog=epilog)(command)
