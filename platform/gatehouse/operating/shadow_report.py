"""What the shadows of an endpoint came to, by other version and tenant: for programs and tables."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlmodel import Session

from gatehouse.identity.store import list_tenants
from gatehouse.migration.compared_store import Shadowed, all_compared
from gatehouse.migration.report_facts import failure_facts, shadow_facts
from gatehouse.migration.report_standing import SPAN_DAYS, first_day


class ShadowRow(NamedTuple):
    """`tenant` is its name."""

    tenant: str
    shadowed: Shadowed


def shadow_rows(session: Session, model: str, api_version: str, now: datetime, tenant_id: str | None = None) -> list[ShadowRow]:
    """Of the last 30 days; of all tenants or one, in the order of versions and tenants. Shadows that have ended too."""
    found = all_compared(session, model, api_version, first_day(now), tenant_id)
    names = {each.id: each.name for each in list_tenants(session)} if found else {}
    rows = [ShadowRow(names[each.figures.tenant_id], each) for each in found]
    return sorted(rows, key=lambda row: (_order(row.shadowed.figures.other_version), row.tenant))


def shadow_report(model: str, api_version: str, now: datetime, rows: Sequence[ShadowRow]) -> dict[str, Any]:
    """All of it as JSON values."""
    since = first_day(now).isoformat()
    return {"model": model, "api_version": api_version, "since": since, "days": SPAN_DAYS, "shadows": [_facts(row) for row in rows]}


def _facts(row: ShadowRow) -> dict[str, Any]:
    figures, failures = row.shadowed.figures, failure_facts(row.shadowed.failures)
    return {"other_version": figures.other_version, "tenant": row.tenant, **shadow_facts(figures), "upgrade_failures": failures}


def _order(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]
