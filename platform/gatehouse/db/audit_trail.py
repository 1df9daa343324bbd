"""Reading the audit trail: pages from the newest row on, one row, and all of them as a stream."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

from sqlalchemy import Dialect, Result, Row, Select, String, TypeDecorator, or_, text, type_coerce
from sqlmodel import Session, func, select

from gatehouse.db.tables import METADATA

TRAIL = METADATA.tables["audit"]
AS_STORED = tuple(type_coerce(column, String).label("at") if column is TRAIL.c.at else column for column in TRAIL.c)
"""For verification: SQLite holds times as text, and what somebody has put there instead need not be one."""


def moment_of(stored: Any) -> datetime | None:
    """Also of the text that SQLite holds, which somebody may have made into anything: None where it is no moment."""
    try:
        at = stored if isinstance(stored, datetime) else datetime.fromisoformat(stored)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return None


class _Moment(TypeDecorator[datetime]):
    """A moment, or None where something else stands there: such a row is shown all the same."""

    impl = String
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return moment_of(value)


_SHOWN = tuple(type_coerce(column, _Moment).label("at") if column is TRAIL.c.at else column for column in TRAIL.c)
AuditRow: TypeAlias = Row[Any]
"""Has the columns as attributes."""
AT_ONCE = 1_000
"""Rows that a stream holds in memory."""


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """What rows are wanted; None is any."""

    actor: str | None = None
    source: str | None = None
    action: str | None = None
    """Whole (`key.create`), or a noun (`key`) for all that was done to it."""
    subject: str | None = None
    request_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    """The first moment that is not wanted any more."""

    def of(self, statement: Select[Any]) -> Select[Any]:
        """The statement, narrowed."""
        for name in ("actor", "source", "subject", "request_id"):
            if (wanted := getattr(self, name)) is not None:
                statement = statement.where(TRAIL.c[name] == wanted)
        if self.action is not None:
            noun = TRAIL.c.action.startswith(f"{self.action}.", autoescape=True)
            statement = statement.where(or_(TRAIL.c.action == self.action, noun))
        if self.since is not None:
            statement = statement.where(TRAIL.c.at >= self.since)
        if self.until is not None:
            statement = statement.where(TRAIL.c.at < self.until)
        return statement


def newest_entries(session: Session, wanted: AuditFilter, limit: int, before: int | None = None) -> list[AuditRow]:
    """At most `limit` rows, the newest first; only those older than the row `before`."""
    statement = wanted.of(select(*_SHOWN)).order_by(TRAIL.c.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(TRAIL.c.id < before)
    return list(session.execute(statement))


def find_entry(session: Session, id: int) -> AuditRow | None:
    """One row."""
    return session.execute(select(*_SHOWN).where(TRAIL.c.id == id)).first()


def count_entries(session: Session, wanted: AuditFilter) -> int:
    """How many rows there are."""
    count: int = session.execute(wanted.of(select(func.count()).select_from(TRAIL))).scalar_one()
    return count


def stream_entries(session: Session, wanted: AuditFilter) -> Iterator[AuditRow]:
    """All rows, the oldest first."""
    statement = wanted.of(select(*_SHOWN)).order_by(TRAIL.c.id).execution_options(yield_per=AT_ONCE)
    return iter(session.execute(statement))


def paced(rows: Result[Any], pause: Callable[[], None]) -> Iterator[AuditRow]:
    """The same rows, with a `pause` before each thousand; what it raises ends the stream."""
    with closing(rows):
        for number, row in enumerate(rows):
            if number % AT_ONCE == 0:
                pause()
            yield row


def detail_of(row: AuditRow) -> dict[str, Any]:
    """What a row says beside its columns; the text itself where somebody has made it into no JSON object."""
    try:
        detail = json.loads(row.detail)
    except ValueError:
        detail = None
    return detail if isinstance(detail, dict) else {"unreadable": str(row.detail)}


def hold_still(session: Session) -> None:
    """Have all that is read in the session be of one moment."""
    if session.get_bind().dialect.name == "postgresql":  # SQLite's reader sees one moment anyway
        session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
