"""`gatehouse endpoints bridge | unbridge`: an older API version is answered by its successor's model."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from gatehouse.cli import releasing
from gatehouse.cli.bridge_proof import prove_bridge, refusing_fields
from gatehouse.cli.deployment import Deployment, open_deployment
from gatehouse.cli.endpoint_facts import ApiVersion, Model, facts
from gatehouse.cli.output import Json, example, print_json
from gatehouse.cli.published_contract import check_loadable
from gatehouse.cli.upgrade_proofs import UpgradeProof, proof_facts
from gatehouse.errors import Refused
from gatehouse.migration.bridging import bridged, unbridged
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.life_store import change_life
from gatehouse.migration.release import released
from gatehouse.migration.store import list_endpoints, named_endpoint, store_release


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


def begin_bridge(deployment: Deployment, model: str, api_version: str, to: str) -> tuple[Endpoint, Endpoint, UpgradeProof]:
    """The endpoint, the one that answers it now, and what of its rows is upgraded. Raises Refused, NotKnown."""
    with deployment.database.read() as session:
        seen, all_ = named_endpoint(session, model, api_version), list_endpoints(session)
    bridged(seen, all_, to, datetime.now(UTC))
    target = next(each for each in all_ if (each.model, each.api_version) == (model, to))
    check_loadable(deployment.settings, model, target.stable_version)
    proof = prove_bridge(deployment.settings, seen, target.stable_version)

    def step(now_seen: Endpoint, siblings: list[Endpoint]) -> Endpoint:
        if now_seen != seen or target not in siblings:
            raise Refused(f"{seen.name} or {target.name} was changed by somebody else meanwhile: do it again")
        return bridged(now_seen, siblings, to, datetime.now(UTC))

    with deployment.database.write() as session:
        return change_life(session, deployment.actor, "bridge", model, api_version, step), target, proof


def end_bridge(deployment: Deployment, model: str, api_version: str, version: str | None) -> Endpoint:
    """The endpoint, served by its own model. Raises Refused, NotKnown."""
    seen = releasing.find(deployment, model, api_version)
    wanted = unbridged(seen) if version is None else released(unbridged(seen), version)
    _check_own_version(deployment, wanted, version)
    if version is not None and version != seen.stable_version:
        releasing.check_callers(deployment, seen, version)
    with deployment.database.write() as session:
        change = change_life(session, deployment.actor, "unbridge", model, api_version, lambda now_seen, _all: unbridged(now_seen))
        return change if version is None else store_release(session, deployment.actor, "release", change, released(change, version))


def _check_own_version(deployment: Deployment, wanted: Endpoint, named: str | None) -> None:
    """Raises Refused where no server could load what is to serve."""
    try:
        check_loadable(deployment.settings, wanted.model, wanted.stable_version)
    except Refused as refusal:
        if named is not None:
            raise Refused(f"{wanted.name} stays bridged: {refusal}") from None
        other = (
            f"publish its next version, and name that: gatehouse endpoints unbridge {wanted.model} {wanted.api_version} --version VERSION"
        )
        raise Refused(
            f"{wanted.name} stays bridged, since its own model is gone: {refusal}\nPut back the files that were published, or {other}"
        ) from None


def _say(endpoint: Endpoint, target: Endpoint, proof: UpgradeProof) -> None:
    own, place = f"{endpoint.model} {endpoint.stable_version}", f"{endpoint.model} {endpoint.api_version}"
    typer.echo(f"{endpoint.name} is bridged to {target.api_version}: {target.model} {target.stable_version} answers its calls")
    fields = refusing_fields(proof)
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
