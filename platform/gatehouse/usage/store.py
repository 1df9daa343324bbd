"""Usage in the database: events, hourly summaries and how far each spool segment has been taken."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import msgspec
from sqlalchemy import ColumnElement, Table, delete, func, literal_column
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select

from gatehouse.db.tables import SpoolSegmentTable, TenantTable, UsageEventTable, UsageSummaryTable
from gatehouse.usage.event import UsageEvent
from gatehouse.usage.summary import summarise

EVENTS: Table = UsageEventTable.__table__  # type: ignore[attr-defined]
SUMMARIES: Table = UsageSummaryTable.__table__  # type: ignore[attr-defined]
SEGMENTS: Table = SpoolSegmentTable.__table__  # type: ignore[attr-defined]
SUMS = ("calls", "rows", "bytes_in", "bytes_out", "latency_us")


@dataclass(frozen=True, slots=True)
class UsageRow:
    """Calls and rows of one day (UTC) of one endpoint, key and status; '' stands for a call that reached no model."""

    day: date
    tenant_id: str
    tenant: str
    """The tenant's name; its id where it is gone."""
    key_id: str
    model: str
    api_version: str
    status: int
    calls: int
    rows: int


def _insert(session: Session, table: Table) -> Any:
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    return dialect.insert(table)


def taken_bytes(session: Session, segment_id: str) -> int:
    """How far the segment has been taken; locked until commit."""
    taken = session.exec(select(SpoolSegmentTable.taken_bytes).where(SpoolSegmentTable.id == segment_id).with_for_update()).first()
    return taken or 0


def insert_batch(session: Session, events: Sequence[UsageEvent]) -> int:
    """Insert events and add those that were not there yet to the hourly summaries; returns how many those are."""
    if not events:
        return 0
    by_id = {event.id: event for event in events}
    statement = _insert(session, EVENTS).on_conflict_do_nothing().returning(EVENTS.c.id)
    rows = [_columns(event) for event in by_id.values()]
    new = [by_id[id] for id in session.execute(statement, rows).scalars()]
    if new:
        _add_to_summaries(session, new)
    return len(new)


def set_taken_bytes(session: Session, segment_id: str, taken: int, now: datetime) -> None:
    """Record how far the segment has been taken, within the transaction that took it."""
    statement = _insert(session, SEGMENTS)
    change = {"taken_bytes": statement.excluded.taken_bytes, "changed_at": statement.excluded.changed_at}
    statement = statement.on_conflict_do_update(index_elements=[SEGMENTS.c.id], set_=change)
    session.execute(statement, {"id": segment_id, "taken_bytes": taken, "changed_at": now})


def forget_segment(session: Session, segment_id: str) -> None:
    """Drop the record of a segment whose file is gone."""
    session.execute(delete(SEGMENTS).where(SEGMENTS.c.id == segment_id))


def usage_table(
    session: Session, *, tenant_id: str | None, since: date, until: date, by: Literal["key", "endpoint"] = "key"
) -> list[UsageRow]:
    """Usage by day from `since` to `until` (UTC, both included), of one tenant or of all; by `endpoint`, keys are added up."""
    day: ColumnElement[int] = (SUMMARIES.c.hour // literal_column("24")).label("day")
    tenant = func.coalesce(col(TenantTable.name), SUMMARIES.c.tenant_id).label("tenant")
    key = SUMMARIES.c.key_id if by == "key" else literal_column("''").label("key_id")
    groups = [day, SUMMARIES.c.tenant_id, tenant, SUMMARIES.c.model, SUMMARIES.c.api_version, SUMMARIES.c.status]
    grouped = [*groups, SUMMARIES.c.key_id] if by == "key" else groups
    statement = (
        select(*groups, key, func.sum(SUMMARIES.c.calls).label("calls"), func.sum(SUMMARIES.c.rows).label("rows"))  # type: ignore[call-overload]
        .select_from(SUMMARIES.outerjoin(TenantTable.__table__, col(TenantTable.id) == SUMMARIES.c.tenant_id))  # type: ignore[attr-defined]
        .where(*_within(tenant_id, since, until))
        .group_by(*grouped)
        .order_by(day, tenant, SUMMARIES.c.model, SUMMARIES.c.api_version, SUMMARIES.c.status, *([key] if by == "key" else []))
    )
    return [_usage_row(row) for row in session.execute(statement).mappings()]


def _add_to_summaries(session: Session, events: Sequence[UsageEvent]) -> None:
    statement = _insert(session, SUMMARIES)
    more = {name: SUMMARIES.c[name] + statement.excluded[name] for name in SUMS}
    statement = statement.on_conflict_do_update(index_elements=list(SUMMARIES.primary_key), set_=more)
    session.execute(statement, [{**key._asdict(), **asdict(sums)} for key, sums in summarise(events)])


def _columns(event: UsageEvent) -> dict[str, Any]:
    return msgspec.structs.asdict(event)


def _within(tenant_id: str | None, since: date, until: date) -> list[ColumnElement[bool]]:
    within = [SUMMARIES.c.hour >= _hour(since), SUMMARIES.c.hour < _hour(until) + 24]
    return within if tenant_id is None else [SUMMARIES.c.tenant_id == tenant_id, *within]


def _hour(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) // 3600


def _usage_row(row: Any) -> UsageRow:
    return UsageRow(
        day=date(1970, 1, 1) + timedelta(days=int(row["day"])),
        tenant_id=row["tenant_id"],
        tenant=row["tenant"],
        key_id=row["key_id"],
        model=row["model"],
        api_version=row["api_version"],
        status=row["status"],
        calls=int(row["calls"]),
        rows=int(row["rows"]),
    )
