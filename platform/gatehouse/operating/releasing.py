"""From one release of an endpoint to the next: verified, and held against the contract that callers have now."""

from collections.abc import Iterable

from gatehouse.contracts.compatibility import Change, compare
from gatehouse.db.revision import hold_revision
from gatehouse.errors import Refused, about
from gatehouse.migration.bridging import bridges_to, check_own_model
from gatehouse.migration.endpoint import Endpoint, api_version_of
from gatehouse.migration.release import promoted, released, rolled_back, with_canary
from gatehouse.migration.store import create_endpoint, find_endpoint, list_endpoints, named_endpoint, store_release
from gatehouse.operating.bridge_proof import proven_bridges
from gatehouse.operating.desk import Desk
from gatehouse.operating.published import check_loadable, contract_of
from gatehouse.settings import Settings

NEW_ANSWERS = ("more decimals", "more labels in top k", "target added")
"""Compatible changes that the keys of a canary would see in answers of the stable contract."""


def find(desk: Desk, model: str, api_version: str) -> Endpoint:
    """Raises NotKnown."""
    with desk.database.read() as session:
        return named_endpoint(session, model, api_version)


def release(desk: Desk, model: str, api_version: str, version: str, canary: int | None, *, force: bool) -> Endpoint:
    """Let a published version serve an endpoint, or a share of its keys. Raises Refused.

    Where a version was published elsewhere and copied here, this opens its endpoint.
    """
    with desk.database.read() as session:
        known = find_endpoint(session, model, api_version)
    if known is not None:
        check_own_model(known)  # first: of a bridged endpoint the version may be gone as well
    with about("version"):
        check_loadable(desk.settings, model, version)
    if known is None and canary is None and api_version == api_version_of(version):
        with desk.database.write() as session:
            if find_endpoint(session, model, api_version) is None:
                return create_endpoint(session, desk.actor, model, version)
    seen = find(desk, model, api_version)
    if canary is None:
        return _change(desk, "release", seen, released(seen, version), force=force)
    wanted = with_canary(seen, version, canary)
    check_canary(desk.settings, seen, version)
    return _store(desk, "release", seen, wanted)


def promote(desk: Desk, model: str, api_version: str) -> Endpoint:
    """Let the canary serve everybody. Raises Refused."""
    seen = find(desk, model, api_version)
    return _change(desk, "promote", seen, promoted(seen), force=False)


def rollback(desk: Desk, model: str, api_version: str, *, force: bool) -> Endpoint:
    """End the canary, or where there is none, go back to the version before. Raises Refused."""
    seen = find(desk, model, api_version)
    wanted = rolled_back(seen)
    if wanted.stable_version == seen.stable_version:
        return _store(desk, "rollback", seen, wanted)
    return _change(desk, "rollback", seen, wanted, force=force)


def _change(desk: Desk, action: str, seen: Endpoint, wanted: Endpoint, *, force: bool) -> Endpoint:
    check_loadable(desk.settings, wanted.model, wanted.stable_version)
    if not force and wanted.stable_version != seen.stable_version:
        check_callers(desk.settings, seen, wanted.stable_version)
    return _store(desk, action, seen, wanted, forced=force)


def check_callers(settings: Settings, seen: Endpoint, version: str) -> None:
    """Nothing that callers may use now gets lost by `version`. Raises Refused, which names what would."""
    model, in_use = seen.model, seen.stable_version
    try:
        now = contract_of(settings, model, in_use)
    except Refused as refusal:
        unknown = f"so it is not known what callers would lose by {version}"
        raise Refused(f"{refusal}; {unknown}: --force releases it all the same", fact=f"{refusal.fact}; {unknown}; {FORCE}") from None
    lost = [change for change in compare(now, contract_of(settings, model, version)) if not change.compatible]
    if lost:
        fact = f"callers of {seen.name} would lose what the contract of {in_use} gives them now:\n{_lines(lost)}"
        remedy = f"Publish the next version with the contract of {in_use}, or let them lose it with --force"
        raise Refused(f"{fact}\n{remedy}", fact=f"{fact}\n{FORCE}")


FORCE = "with force it is released all the same"


def check_canary(settings: Settings, seen: Endpoint, version: str) -> None:
    """A canary takes all that the stable contract takes, and answers in its terms. Raises Refused."""
    stable = contract_of(settings, seen.model, seen.stable_version)
    changes = compare(stable, contract_of(settings, seen.model, version))
    wrong = [change for change in changes if not change.compatible or change.kind in NEW_ANSWERS]
    if wrong:
        fact = f"{version} cannot be a canary of {seen.name}, whose callers go by the contract of {seen.stable_version}:\n{_lines(wrong)}"
        raise Refused(f"{fact}\nRelease it without --canary", fact=f"{fact}\nRelease it without a canary")


def _lines(changes: Iterable[Change]) -> str:
    return "\n".join(f"  {change}" for change in changes)


def _store(desk: Desk, action: str, seen: Endpoint, wanted: Endpoint, *, forced: bool = False) -> Endpoint:
    """What a bridge needs is proved before the transaction; that no other one has begun meanwhile, within it."""
    changed = wanted.stable_version != seen.stable_version
    with desk.database.read() as session:
        siblings = list_endpoints(session)
    proven = proven_bridges(desk, seen, siblings, wanted.stable_version) if changed else []
    with desk.database.write() as session:
        hold_revision(session)
        if changed and bridges_to(seen, list_endpoints(session)) != proven:
            raise Refused(f"what is bridged to {seen.name} was changed by somebody else meanwhile: do it again")
        return store_release(session, desk.actor, action, seen, wanted, forced=forced)
