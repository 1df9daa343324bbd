"""`gatehouse endpoints shadow | unshadow`: another version scores an endpoint's calls too, and only differences are kept."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from sqlmodel import Session

from gatehouse.cli.deployment import Deployment, open_deployment
from gatehouse.cli.endpoint_facts import ApiVersion, Model, facts
from gatehouse.cli.endpoint_shadows import shadows
from gatehouse.cli.output import Json, example, print_json
from gatehouse.cli.published_contract import check_loadable, contract_of
from gatehouse.contracts.contract import ContractInvalid
from gatehouse.contracts.upgrade_between import bind_for_comparison
from gatehouse.errors import Refused
from gatehouse.identity.store import list_grants
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.life_store import change_life
from gatehouse.migration.shadowing import other_version, shadowed, unshadowed
from gatehouse.migration.store import list_endpoints, named_endpoint


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
    with open_deployment() as deployment, deployment.database.write() as session:
        endpoint = change_life(session, deployment.actor, "unshadow", model, api_version, lambda seen, _all: unshadowed(seen))
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


def begin_shadow(deployment: Deployment, model: str, api_version: str, other: str, percent: int) -> tuple[Endpoint, str]:
    """The endpoint, and the version that scores its calls too. Raises Refused, NotKnown."""
    now = datetime.now(UTC)
    with deployment.database.read() as session:
        seen, all_ = named_endpoint(session, model, api_version), list_endpoints(session)
        shadowed(seen, all_, other, percent, now)
        _check_granted(session, seen)
    version = other_version(seen, all_, other, now)
    check_loadable(deployment.settings, model, version)
    _check_comparable(deployment, seen, version)

    def step(endpoint: Endpoint, siblings: list[Endpoint]) -> Endpoint:
        if endpoint.stable_version != seen.stable_version or other_version(endpoint, siblings, other, now) != version:
            raise Refused(f"{endpoint.name} or {other} was changed by somebody else meanwhile: do it again")
        return shadowed(endpoint, siblings, other, percent, now)

    with deployment.database.write() as session:
        return change_life(session, deployment.actor, "shadow", model, api_version, step), version


def _check_granted(session: Session, endpoint: Endpoint) -> None:
    """Raises Refused where nobody may call it, so that there is nothing to score."""
    covering = (endpoint.api_version,) if endpoint.state == "preview" else (None, endpoint.api_version)
    if not any(grant.model == endpoint.model and grant.api_version in covering for grant in list_grants(session)):
        add = f"gatehouse grants add TENANT {endpoint.model} --api-version {endpoint.api_version}"
        raise Refused(f"no tenant may call {endpoint.name}, so there is nothing to score: {add}")


def _check_comparable(deployment: Deployment, endpoint: Endpoint, version: str) -> None:
    """Rows can be made rows of the other version, and its answers go back. Raises Refused."""
    model, origin = endpoint.model, f"contract of {endpoint.model} {version}"
    old = contract_of(deployment.settings, model, endpoint.stable_version)
    new = contract_of(deployment.settings, model, version)
    try:
        upgrade = bind_for_comparison(old, new, origin)
    except ContractInvalid as error:
        what = "The rules" if old.api_version != new.api_version else "A version of the same major"
        raise Refused(f"{error}\n{what} must lead from the contract of {endpoint.stable_version} there, and answers back") from None
    if upgrade.answers is None:
        raise Refused(f"{origin}: its rules from {old.api_version} are one-way: no answer goes back, so none can be compared")


COMMANDS = (
    (shadow, example("gatehouse endpoints shadow iris v1 --with v2 --share 100")),
    (shadows, example("gatehouse endpoints shadows iris v1")),
    (unshadow, example("gatehouse endpoints unshadow iris v1")),
)


def add_shadow_commands(app: typer.Typer) -> None:
    """Beside the commands of releases."""
    for command, epilog in COMMANDS:
        app.command(epilog=epilog)(command)
