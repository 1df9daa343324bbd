"""Usage written into the database: events, summaries, counts, and how far each spool segment has been taken."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import Table, bindparam, delete, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from gatehouse.db.bulk import add_to_rows, insert_rows
from gatehouse.db.session import Database
from gatehouse.db.tables import RefusedCallsTable, SpoolSegmentTable, UsageDayTable, UsageEventTable, UsageSealTable, UsageSummaryTable
from gatehouse.usage.event import RefusedCalls, UsageEvent
from gatehouse.usage.summary import SUMS, Summary, Sums, by_day, by_tenant_and_day, summarise

EVENTS: Table = UsageEventTable.__table__  # type: ignore[attr-defined]
HOURS: Table = UsageSummaryTable.__table__  # type: ignore[attr-defined]
DAYS: Table = UsageDayTable.__table__  # type: ignore[attr-defined]
SEALS: Table = UsageSealTable.__table__  # type: ignore[attr-defined]
REFUSED: Table = RefusedCallsTable.__table__  # type: ignore[attr-defined]
SEGMENTS: Table = SpoolSegmentTable.__table__  # type: ignore[attr-defined]
SEALING_LOCK = 0x6761_7475
"""Number of the PostgreSQL advisory lock that keeps events and the sealing of their day apart; SQLite has one writer."""


def _insert_into(dialect: str, table: Table) -> Any:
    """An insert that knows `on_conflict_…`."""
    return (postgresql if dialect == "postgresql" else sqlite).insert(table)


_TAKEN = select(SEGMENTS.c.taken_bytes).where(SEGMENTS.c.id == bindparam("id")).with_for_update()


@cache
def _segment(dialect: str, *, overwrite: bool) -> Any:
    """The insert of a segment's row, made once: it takes longer to make than to run."""
    statement = _insert_into(dialect, SEGMENTS)
    if not overwrite:
        return statement.on_conflict_do_nothing()
    change = {"taken_bytes": statement.excluded.taken_bytes, "changed_at": statement.excluded.changed_at}
    return statement.on_conflict_do_update(index_elements=[SEGMENTS.c.id], set_=change)


def claim_segment(session: Session, segment_id: str, now: datetime) -> int:
    """How far the segment has been taken; nobody else takes of it until commit."""
    connection = session.connection()
    if connection.dialect.name == "postgresql":  # two must have the same row to wait for
        connection.execute(_segment("postgresql", overwrite=False), {"id": segment_id, "taken_bytes": 0, "changed_at": now})
    return connection.execute(_TAKEN, {"id": segment_id}).scalar() or 0


def set_taken_bytes(session: Session, segment_id: str, taken: int, now: datetime) -> None:
    """Record how far the segment has been taken, within the transaction that took it."""
    connection = session.connection()
    connection.execute(_segment(connection.dialect.name, overwrite=True), {"id": segment_id, "taken_bytes": taken, "changed_at": now})


def forget_segment(session: Session, segment_id: str) -> None:
    """Drop the record of a segment whose file is gone."""
    session.execute(delete(SEGMENTS).where(SEGMENTS.c.id == segment_id))


def forget_segments_of(session: Session, process_id: str) -> None:
    """Drop what is left of the records of a process all of whose files are gone."""
    session.execute(delete(SEGMENTS).where(SEGMENTS.c.id.startswith(f"{process_id}.", autoescape=True)))


def insert_batch(session: Session, events: Sequence[UsageEvent]) -> int:
    """Insert events and add those that were not there yet to the summaries; returns how many those are."""
    if not events:
        return 0
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock_shared(:lock)"), {"lock": SEALING_LOCK})
    new = _insert_all(session, events) or _insert_new(session, events)
    if new:
        _add_to_summaries(session, summarise(new))
    return len(new)


def add_refused(session: Session, counts: Sequence[RefusedCalls]) -> None:
    """Add counts of refused calls to those of their second."""
    calls: Counter[tuple[str, int, str, int, str]] = Counter()
    for each in counts:
        calls[each.tenant_id, each.second, each.key_id, each.status, each.limit] += each.refused
    add_to_rows(session, REFUSED, [(*of, more) for of, more in sorted(calls.items())], ["calls"])


def make_durable(database: Database) -> bool:
    """Bring all that was committed onto the disk, so that it outlives a loss of power; False where that must be tried again later."""
    if database.dialect == "postgresql":  # each commit is durable, unless its operator has chosen otherwise
        return True
    connection = database.engine.raw_connection()
    try:
        _, in_log, checkpointed = connection.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return bool(in_log == checkpointed)
    finally:
        connection.close()


def _insert_all(session: Session, events: Sequence[UsageEvent]) -> list[UsageEvent]:
    """All of them by the quickest road; none where one is there already."""
    try:
        with session.begin_nested():
            insert_rows(session, EVENTS, [msgspec.structs.astuple(event) for event in events])
    except IntegrityError:
        return []
    return list(events)


def _insert_new(session: Session, events: Sequence[UsageEvent]) -> list[UsageEvent]:
    """Those that are not there yet."""
    by_id = {event.id: event for event in events}
    statement = _insert_into(session.get_bind().dialect.name, EVENTS).on_conflict_do_nothing().returning(EVENTS.c.id)
    rows = [msgspec.structs.asdict(event) for event in by_id.values()]
    return [by_id[id] for id in session.execute(statement, rows).scalars()]


def _add_to_summaries(session: Session, hours: Summary) -> None:
    days = by_day(hours)
    for table, summary in ((HOURS, hours), (DAYS, days)):
        add_to_rows(session, table, [(*key, *sums) for key, sums in summary], SUMS)
    _add_to_seals(session, days)


def _add_to_seals(session: Session, days: Summary) -> None:
    """Where the events of a day may be gone already, its seal grows with what comes late. No day is sealed meanwhile."""
    numbers = {key.span for key, _ in days}
    sealed = {(row.tenant_id, row.day) for row in session.execute(select(SEALS.c.tenant_id, SEALS.c.day).where(SEALS.c.day.in_(numbers)))}
    totals = [{"of": tenant, "on": day, **_named(sums)} for (tenant, day), sums in by_tenant_and_day(days) if (tenant, day) in sealed]
    if totals:
        more = {name: SEALS.c[name] + bindparam(name) for name in SUMS}
        session.execute(update(SEALS).where(SEALS.c.tenant_id == bindparam("of"), SEALS.c.day == bindparam("on")).values(more), totals)


def _named(sums: Sums) -> dict[str, int]:
    return dict(zip(SUMS, sums, strict=True))
