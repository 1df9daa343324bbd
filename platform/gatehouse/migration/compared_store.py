"""What shadows showed of the way to one newer endpoint, out of the database; reports and guides go by the same."""

from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

from sqlmodel import Session

from gatehouse.migration.endpoint import Endpoint, api_version_of
from gatehouse.migration.shadow import ShadowFigures, UpgradeFailures
from gatehouse.migration.shadow_store import shadow_figures, upgrade_failures


class Compared(NamedTuple):
    """Figures of one model version; `version` is None, and the rest empty, where none of the newer endpoint was compared."""

    version: str | None
    shadows: list[ShadowFigures]
    failures: list[UpgradeFailures]


class Shadowed(NamedTuple):
    """One tenant's figures of one other version."""

    figures: ShadowFigures
    failures: list[UpgradeFailures]


def all_compared(session: Session, model: str, api_version: str, since: date, tenant_id: str | None = None) -> list[Shadowed]:
    """What shadows came to with any other version, of the same major too; of all tenants or one, over the days from `since` (UTC)."""
    shadows = shadow_figures(session, model, api_version, since, tenant_id)
    failures: dict[tuple[str, str], list[UpgradeFailures]] = {}
    for version in {each.other_version for each in shadows}:
        for each in upgrade_failures(session, model, api_version, since, tenant_id, other_version=version):
            failures.setdefault((each.tenant_id, version), []).append(each)
    return [Shadowed(each, failures.get((each.tenant_id, each.other_version), [])) for each in shadows]


def compared_with(session: Session, model: str, api_version: str, newer: Endpoint, since: date, tenant_id: str | None = None) -> Compared:
    """Of all tenants or one, over the days from `since` (UTC)."""
    shadows = shadow_figures(session, model, api_version, since, tenant_id)
    version = _version(shadows, newer)
    if version is None:
        return Compared(None, [], [])
    failures = upgrade_failures(session, model, api_version, since, tenant_id, other_version=version)
    return Compared(version, [each for each in shadows if each.other_version == version], failures)


def _version(shadows: Iterable[ShadowFigures], newer: Endpoint) -> str | None:
    """The one that serves the newer endpoint; where it was not compared, the newest of its major that was."""
    compared = {each.other_version for each in shadows if api_version_of(each.other_version) == newer.api_version}
    if newer.stable_version in compared:
        return newer.stable_version
    return max(compared, key=lambda version: [int(part) for part in version.split(".")], default=None)
