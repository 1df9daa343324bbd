"""From one release of an endpoint to the next: verified, and held against the contract that callers have now."""

from collections.abc import Iterable

from gatehouse.cli.bridge_proof import check_bridges
from gatehouse.cli.deployment import Deployment
from gatehouse.cli.published_contract import check_loadable, contract_of
from gatehouse.contracts.compatibility import Change, compare
from gatehouse.db.revision import hold_revision
from gatehouse.errors import Refused
from gatehouse.migration.bridging import check_own_model
from gatehouse.migration.endpoint import Endpoint, api_version_of
from gatehouse.migration.release import promoted, released, rolled_back, with_canary
from gatehouse.migration.store import create_endpoint, find_endpoint, list_endpoints, named_endpoint, store_release

NEW_ANSWERS = ("more decimals", "more labels in top k", "target added")
"""Compatible changes that the keys of a canary would see in answers of the stable contract."""


def find(deployment: Deployment, model: str, api_version: str) -> Endpoint:
    """Raises NotKnown."""
    with deployment.database.read() as session:
        return named_endpoint(session, model, api_version)


def release(deployment: Deployment, model: str, api_version: str, version: str, canary: int | None, *, force: bool) -> Endpoint:
    """Let a published version serve an endpoint, or a share of its keys. Raises Refused.

    Where a version was published elsewhere and copied here, this opens its endpoint.
    """
    with deployment.database.read() as session:
        known = find_endpoint(session, model, api_version)
    if known is not None:
        check_own_model(known)  # first: of a bridged endpoint the version may be gone as well
    check_loadable(deployment.settings, model, version)
    if known is None and canary is None and api_version == api_version_of(version):
        with deployment.database.write() as session:
            if find_endpoint(session, model, api_version) is None:
                return create_endpoint(session, deployment.actor, model, version)
    seen = find(deployment, model, api_version)
    if canary is None:
        return _change(deployment, "release", seen, released(seen, version), force=force)
    wanted = with_canary(seen, version, canary)
    check_canary(deployment, seen, version)
    return _store(deployment, "release", seen, wanted)


def promote(deployment: Deployment, model: str, api_version: str) -> Endpoint:
    """Let the canary serve everybody. Raises Refused."""
    seen = find(deployment, model, api_version)
    return _change(deployment, "promote", seen, promoted(seen), force=False)


def rollback(deployment: Deployment, model: str, api_version: str, *, force: bool) -> Endpoint:
    """End the canary, or where there is none, go back to the version before. Raises Refused."""
    seen = find(deployment, model, api_version)
    wanted = rolled_back(seen)
    if wanted.stable_version == seen.stable_version:
        return _store(deployment, "rollback", seen, wanted)
    return _change(deployment, "rollback", seen, wanted, force=force)


def _change(deployment: Deployment, action: str, seen: Endpoint, wanted: Endpoint, *, force: bool) -> Endpoint:
    check_loadable(deployment.settings, wanted.model, wanted.stable_version)
    if not force and wanted.stable_version != seen.stable_version:
        check_callers(deployment, seen, wanted.stable_version)
    return _store(deployment, action, seen, wanted, forced=force)


def check_callers(deployment: Deployment, seen: Endpoint, version: str) -> None:
    """Nothing that callers may use now gets lost by `version`. Raises Refused, which names what would."""
    model, in_use = seen.model, seen.stable_version
    try:
        now = contract_of(deployment.settings, model, in_use)
    except Refused as refusal:
        raise Refused(f"{refusal}; so it is not known what callers would lose by {version}: --force releases it all the same") from None
    lost = [change for change in compare(now, contract_of(deployment.settings, model, version)) if not change.compatible]
    if lost:
        raise Refused(
            f"callers of {seen.name} would lose what the contract of {in_use} gives them now:\n{_lines(lost)}\n"
            f"Publish the next version with the contract of {in_use}, or let them lose it with --force"
        )


def check_canary(deployment: Deployment, seen: Endpoint, version: str) -> None:
    """A canary takes all that the stable contract takes, and answers in its terms. Raises Refused."""
    stable = contract_of(deployment.settings, seen.model, seen.stable_version)
    changes = compare(stable, contract_of(deployment.settings, seen.model, version))
    wrong = [change for change in changes if not change.compatible or change.kind in NEW_ANSWERS]
    if wrong:
        raise Refused(
            f"{version} cannot be a canary of {seen.name}, whose callers go by the contract of {seen.stable_version}:\n{_lines(wrong)}\n"
            "Release it without --canary"
        )


def _lines(changes: Iterable[Change]) -> str:
    return "\n".join(f"  {change}" for change in changes)


def _store(deployment: Deployment, action: str, seen: Endpoint, wanted: Endpoint, *, forced: bool = False) -> Endpoint:
    with deployment.database.write() as session:
        hold_revision(session)  # so that no bridge begins between the look at bridges and the release
        if wanted.stable_version != seen.stable_version:
            check_bridges(deployment.settings, seen, list_endpoints(session), wanted.stable_version)
        return store_release(session, deployment.actor, action, seen, wanted, forced=forced)
