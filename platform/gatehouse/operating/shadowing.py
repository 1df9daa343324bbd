"""Shadows begun and ended: another version scores an endpoint's calls too, where its answers can be compared."""

from datetime import UTC, datetime

from sqlmodel import Session

from gatehouse.contracts.contract import ContractInvalid
from gatehouse.contracts.upgrade_between import bind_for_comparison
from gatehouse.errors import Refused, about
from gatehouse.identity.store import list_grants
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.life_store import change_life
from gatehouse.migration.shadowing import other_version, shadowed, unshadowed
from gatehouse.migration.store import list_endpoints, named_endpoint
from gatehouse.operating.desk import Desk
from gatehouse.operating.published import check_loadable, contract_of
from gatehouse.settings import Settings


def begin_shadow(desk: Desk, model: str, api_version: str, other: str, percent: int) -> tuple[Endpoint, str]:
    """The endpoint, and the version that scores its calls too. Raises Refused, NotKnown."""
    now = datetime.now(UTC)
    with desk.database.read() as session:
        seen, all_ = named_endpoint(session, model, api_version), list_endpoints(session)
        shadowed(seen, all_, other, percent, now)
        _check_granted(session, seen)
    version = other_version(seen, all_, other, now)
    with about("version"):
        check_loadable(desk.settings, model, version)
        _check_comparable(desk.settings, seen, version)

    def step(endpoint: Endpoint, siblings: list[Endpoint]) -> Endpoint:
        if endpoint.stable_version != seen.stable_version or other_version(endpoint, siblings, other, now) != version:
            raise Refused(f"{endpoint.name} or {other} was changed by somebody else meanwhile: do it again")
        return shadowed(endpoint, siblings, other, percent, now)

    with desk.database.write() as session:
        return change_life(session, desk.actor, "shadow", model, api_version, step), version


def end_shadow(desk: Desk, model: str, api_version: str) -> Endpoint:
    """The endpoint, scored by the version that answers alone. Raises Refused, NotKnown."""
    with desk.database.write() as session:
        return change_life(session, desk.actor, "unshadow", model, api_version, lambda seen, _all: unshadowed(seen))


def _check_granted(session: Session, endpoint: Endpoint) -> None:
    """Raises Refused where nobody may call it, so that there is nothing to score."""
    covering = (endpoint.api_version,) if endpoint.state == "preview" else (None, endpoint.api_version)
    if not any(grant.model == endpoint.model and grant.api_version in covering for grant in list_grants(session)):
        fact = f"no tenant may call {endpoint.name}, so there is nothing to score"
        raise Refused(f"{fact}: gatehouse grants add TENANT {endpoint.model} --api-version {endpoint.api_version}", fact=fact)


def _check_comparable(settings: Settings, endpoint: Endpoint, version: str) -> None:
    """Rows can be made rows of the other version, and its answers go back. Raises Refused."""
    model, origin = endpoint.model, f"contract of {endpoint.model} {version}"
    old, new = (contract_of(settings, model, each) for each in (endpoint.stable_version, version))
    try:
        upgrade = bind_for_comparison(old, new, origin)
    except ContractInvalid as error:
        what = "The rules" if old.api_version != new.api_version else "A version of the same major"
        raise Refused(f"{error}\n{what} must lead from the contract of {endpoint.stable_version} there, and answers back") from None
    if upgrade.answers is None:
        raise Refused(f"{origin}: its rules from {old.api_version} are one-way: no answer goes back, so none can be compared")
