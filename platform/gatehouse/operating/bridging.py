"""Bridges begun and ended: an older API version is answered by its successor's model, as far as its rules are proved."""

from datetime import UTC, datetime

from gatehouse.contracts.proved_upgrade import UpgradeProof
from gatehouse.errors import Refused
from gatehouse.migration.bridging import bridged, unbridged
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.life_store import change_life
from gatehouse.migration.release import released
from gatehouse.migration.store import list_endpoints, named_endpoint, store_release
from gatehouse.operating.bridge_proof import prove_bridge
from gatehouse.operating.desk import Desk
from gatehouse.operating.published import check_loadable
from gatehouse.operating.releasing import check_callers, find


def begin_bridge(desk: Desk, model: str, api_version: str, to: str) -> tuple[Endpoint, Endpoint, UpgradeProof]:
    """The endpoint, the one that answers it now, and what of its rows is upgraded. Raises Refused, NotKnown."""
    with desk.database.read() as session:
        seen, all_ = named_endpoint(session, model, api_version), list_endpoints(session)
    bridged(seen, all_, to, datetime.now(UTC))
    target = next(each for each in all_ if (each.model, each.api_version) == (model, to))
    check_loadable(desk.settings, model, target.stable_version)
    proof = prove_bridge(desk.settings, seen, target.stable_version, desk.pause)

    def step(now_seen: Endpoint, siblings: list[Endpoint]) -> Endpoint:
        if now_seen != seen or target not in siblings:
            raise Refused(f"{seen.name} or {target.name} was changed by somebody else meanwhile: do it again")
        return bridged(now_seen, siblings, to, datetime.now(UTC))

    with desk.database.write() as session:
        return change_life(session, desk.actor, "bridge", model, api_version, step), target, proof


def end_bridge(desk: Desk, model: str, api_version: str, version: str | None) -> Endpoint:
    """The endpoint, served by its own model. Raises Refused, NotKnown."""
    seen = find(desk, model, api_version)
    wanted = unbridged(seen) if version is None else released(unbridged(seen), version)
    _check_own_version(desk, wanted, version)
    if version is not None and version != seen.stable_version:
        check_callers(desk.settings, seen, version)
    with desk.database.write() as session:
        change = change_life(session, desk.actor, "unbridge", model, api_version, lambda now_seen, _all: unbridged(now_seen))
        return change if version is None else store_release(session, desk.actor, "release", change, released(change, version))


def _check_own_version(desk: Desk, wanted: Endpoint, named: str | None) -> None:
    """Raises Refused where no server could load what is to serve."""
    stays = f"{wanted.name} stays bridged"
    try:
        check_loadable(desk.settings, wanted.model, wanted.stable_version)
    except Refused as refusal:
        if named is not None:
            raise Refused(f"{stays}: {refusal}", fact=f"{stays}: {refusal.fact}", member="version") from None
        place = f"{wanted.model} {wanted.api_version}"
        other = f"publish its next version, and name that: gatehouse endpoints unbridge {place} --version VERSION"
        raise Refused(
            f"{stays}, since its own model is gone: {refusal}\nPut back the files that were published, or {other}",
            fact=f"{stays}, since its own model is gone: {refusal.fact}; another version of it can be named",
        ) from None
