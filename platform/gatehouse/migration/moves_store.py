"""Calls of API versions by tenant and key, from the usage summaries alone: usage events are never read here."""

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Column, Table, case, func, select
from sqlmodel import Session, col

from gatehouse.db.tables import TenantTable, UsageDayTable, UsageSummaryTable
from gatehouse.migration.moves import ANSWERED, GONE, MOVED_DAYS, Calls, has_moved

HOURS: Table = UsageSummaryTable.__table__  # type: ignore[attr-defined]
DAYS: Table = UsageDayTable.__table__  # type: ignore[attr-defined]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def calls_of(session: Session, model: str, api_versions: Collection[str], since: datetime, tenant_id: str | None = None) -> list[Calls]:
    """Of all tenants or one, in the hours (UTC) from the one of `since` on; `last` is the beginning of an hour."""
    return _calls(session, HOURS.c.hour, HOUR, since, model, api_versions, tenant_id)


def calls_by_day(session: Session, model: str, api_versions: Collection[str], since: date, tenant_id: str | None = None) -> list[Calls]:
    """Of all tenants or one, from the day `since` (UTC) on; `last` is the beginning of a day. Quicker over a long span."""
    first = datetime(since.year, since.month, since.day, tzinfo=UTC)
    return _calls(session, DAYS.c.day, DAY, first, model, api_versions, tenant_id)


def moved_tenants(session: Session, model: str, old: str, new: str, now: datetime) -> frozenset[str]:
    """Ids of the tenants that have moved from `old` to `new`, each by the answered calls of all its keys in the last 7 days."""
    answered: dict[tuple[str, str], int] = {}
    for each in calls_of(session, model, (old, new), now - timedelta(days=MOVED_DAYS)):
        place = (each.tenant_id, each.api_version)
        answered[place] = answered.get(place, 0) + each.answered
    tenants = {tenant for tenant, _ in answered}
    return frozenset(tenant for tenant in tenants if has_moved(answered.get((tenant, old), 0), answered.get((tenant, new), 0)))


def _calls(
    session: Session,
    span: Column[int],
    length: timedelta,
    since: datetime,
    model: str,
    api_versions: Collection[str],
    tenant_id: str | None,
) -> list[Calls]:
    table = span.table
    status, calls = table.c.status, table.c.calls
    whose = (table.c.tenant_id, table.c.key_id, table.c.api_version)
    counts = (
        func.sum(case((status == GONE, 0), else_=calls)),
        func.sum(case((status == ANSWERED, calls), else_=0)),
        func.sum(case((status == GONE, calls), else_=0)),
        func.max(case((status != GONE, span))),
    )
    within = [span >= (since - EPOCH) // length, table.c.model == model, table.c.api_version.in_(list(api_versions))]
    if tenant_id is None:  # from each tenant into the summary's key, which begins with the tenant and the time
        within.append(table.c.tenant_id.in_(select(col(TenantTable.id))))
    else:
        within.append(table.c.tenant_id == tenant_id)
    found = session.execute(select(*whose, *counts).where(*within).group_by(*whose).order_by(*whose))
    return [
        Calls(tenant, key, version, int(all_), int(answered), int(gone), None if last is None else EPOCH + int(last) * length)
        for tenant, key, version, all_, answered, gone, last in found
    ]
