"""Calls of API versions by tenant and key, from the usage summaries: however many events there are, they are not gone through."""

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Column, ColumnElement, Table, and_, case, func, select
from sqlmodel import Session, col

from gatehouse.db.tables import TenantTable, UsageDayTable, UsageEventTable, UsageSummaryTable
from gatehouse.migration.moves import ANSWERED, ENDED, MOVED_DAYS, Calls, has_moved

HOURS: Table = UsageSummaryTable.__table__  # type: ignore[attr-defined]
DAYS: Table = UsageDayTable.__table__  # type: ignore[attr-defined]
EVENTS: Table = UsageEventTable.__table__  # type: ignore[attr-defined]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR, DAY, MICROSECOND = timedelta(hours=1), timedelta(days=1), timedelta(microseconds=1)
HOURS_A_DAY = 24


def calls_of(session: Session, model: str, api_versions: Collection[str], since: datetime, tenant_id: str | None = None) -> list[Calls]:
    """Of all tenants or one, in the hours (UTC) from the one of `since` on; `last` is the beginning of an hour."""
    return _calls(session, HOURS.c.hour, HOUR, since, model, api_versions, tenant_id)


def calls_by_day(session: Session, model: str, api_versions: Collection[str], since: date, tenant_id: str | None = None) -> list[Calls]:
    """Of all tenants or one, from the day `since` (UTC) on; `last` is the beginning of a day. Quicker over a long span."""
    first = datetime(since.year, since.month, since.day, tzinfo=UTC)
    return _calls(session, DAYS.c.day, DAY, first, model, api_versions, tenant_id)


def last_calls(session: Session, model: str, api_version: str, tenant_id: str | None = None) -> dict[tuple[str, str], datetime]:
    """The hour in which each tenant and key last called, however long ago; calls that were answered with 410 left out."""
    on_days, on_hours = ((*_on(table, model, (api_version,)), table.c.status != ENDED, _whose(table, tenant_id)) for table in (DAYS, HOURS))
    key = (DAYS.c.tenant_id, DAYS.c.key_id)
    last = select(*key, func.max(DAYS.c.day).label("day")).where(*on_days).group_by(*key).subquery("last")
    same = and_(
        HOURS.c.tenant_id == last.c.tenant_id,
        HOURS.c.hour >= last.c.day * HOURS_A_DAY,
        HOURS.c.hour < last.c.day * HOURS_A_DAY + HOURS_A_DAY,
        HOURS.c.key_id == last.c.key_id,
    )
    whose = (HOURS.c.tenant_id, HOURS.c.key_id)
    statement = select(*whose, func.max(HOURS.c.hour)).select_from(last.join(HOURS, same)).where(*on_hours).group_by(*whose)
    return {(tenant, key_id): EPOCH + int(hour) * HOUR for tenant, key_id, hour in session.execute(statement)}


def called_between(session: Session, tenant_id: str, model: str, api_version: str, since: datetime, until: datetime) -> bool:
    """Whether there is an event of a call, whatever came of it; for spans within an hour, which the summaries cannot tell apart."""
    first, end = ((moment - EPOCH) // MICROSECOND for moment in (since, until))
    within = (EVENTS.c.tenant_id == tenant_id, EVENTS.c.at_us >= first, EVENTS.c.at_us < end)
    return session.execute(select(EVENTS.c.id).where(*within, *_on(EVENTS, model, (api_version,))).limit(1)).first() is not None


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
        func.sum(case((status == ENDED, 0), else_=calls)),
        func.sum(case((status == ANSWERED, calls), else_=0)),
        func.sum(case((status == ENDED, calls), else_=0)),
        func.max(case((status != ENDED, span))),
        func.max(case((status == ENDED, span))),
    )
    within = [span >= (since - EPOCH) // length, *_on(table, model, api_versions), _whose(table, tenant_id)]
    found = session.execute(select(*whose, *counts).where(*within).group_by(*whose).order_by(*whose))
    return [
        Calls(tenant, key, version, int(all_), int(answered), int(gone), _moment(last, length), _moment(last_gone, length))
        for tenant, key, version, all_, answered, gone, last, last_gone in found
    ]


def _on(table: Table, model: str, api_versions: Collection[str]) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return table.c.model == model, table.c.api_version.in_(list(api_versions))


def _whose(table: Table, tenant_id: str | None) -> ColumnElement[bool]:
    if tenant_id is None:  # from each tenant into the summary's key, which begins with the tenant and the time
        return table.c.tenant_id.in_(select(col(TenantTable.id)))
    return table.c.tenant_id == tenant_id


def _moment(number: int | None, length: timedelta) -> datetime | None:
    return None if number is None else EPOCH + int(number) * length
