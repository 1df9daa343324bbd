"""Quotas in the database: rows taken ahead by blocks, each with its owner."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, CursorResult, Table, delete, func, insert, or_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select

from gatehouse.db.locks import bound_lock_waits
from gatehouse.db.session import GONE, Database
from gatehouse.db.tables import ProcessTable, QuotaBlockTable, QuotaTable, UsageEventTable, UsageSummaryTable
from gatehouse.limits.month import Month

SEEN = timedelta(seconds=15)
"""An owner that was seen so lately settles its blocks itself."""
LOCK_WAIT_MS = 1_000
"""For a row that another process holds; a transaction on it takes a few milliseconds."""


@dataclass(frozen=True, slots=True)
class Block:
    """Rows that were taken ahead, 0 when too few are left, and what is left beside them."""

    rows: int
    left: int


class QuotaStore:
    """The quota and quota_block tables."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def _write(self) -> Iterator[Session]:
        """A transaction that does not wait for ever for rows that a process locked and then stood still. Raises what GONE names."""
        with self._database.write() as session:
            bound_lock_waits(session, LOCK_WAIT_MS)
            yield session

    def take_block(
        self, process_id: str, tenant_id: str, month: str, *, limit: int, needed: int, shares: int, expires_at: datetime
    ) -> Block:
        """Take max(1, left / shares) rows ahead, or `needed` when that is more; nothing when fewer than `needed` are left."""
        with self._write() as session:
            self._ensure(session, tenant_id, month)
            # the lock keeps the row as read until commit; SQLite has its one writer
            taken = session.exec(select(QuotaTable.taken).where(*_of(tenant_id, month)).with_for_update()).one()
            left = max(0, limit - taken)
            rows = min(left, max(needed, 1, left // shares))
            if rows < needed:
                return Block(0, left)
            session.execute(
                update(QuotaTable)
                .where(*_of(tenant_id, month), col(QuotaTable.taken) + rows <= limit)
                .values(taken=col(QuotaTable.taken) + rows)
            )
            _add_to_block(session, process_id, tenant_id, month, rows, expires_at)
            return Block(rows, left - rows)

    def count(self, process_id: str, rows: Mapping[tuple[str, str], int], expires_at: datetime) -> None:
        """Count rows by tenant and month that were let in without being taken ahead: they pass no limit, and are part of the block."""
        with self._write() as session:
            for (tenant_id, month), counted in sorted(rows.items()):  # in one order, so that nobody waits in a circle
                self._ensure(session, tenant_id, month)
                _untake(session, tenant_id, month, -counted)
                _add_to_block(session, process_id, tenant_id, month, counted, expires_at)

    def give_back(self, process_id: str, tenant_id: str, month: str, rows: int, now: datetime) -> None:
        """Return unused rows of a block that has not expired."""
        with self._write() as session:
            _lock(session, tenant_id, month)
            unused = (*_mine(process_id, tenant_id, month), col(QuotaBlockTable.rows) >= rows, col(QuotaBlockTable.expires_at) > now)
            changed: CursorResult[object] = session.execute(  # type: ignore[assignment]
                update(QuotaBlockTable).where(*unused).values(rows=col(QuotaBlockTable.rows) - rows)
            )
            if changed.rowcount:  # else the block has been settled already, or will be
                _untake(session, tenant_id, month, rows)

    def recall(self, process_id: str, tenant_id: str, month: str, now: datetime) -> bool:
        """Ask the other processes for what they hold and do not need; whether there is anyone to ask."""
        with self._write() as session:
            _lock(session, tenant_id, month)
            changed: CursorResult[object] = session.execute(  # type: ignore[assignment]
                update(QuotaBlockTable)
                .where(*_in_month(tenant_id, month), col(QuotaBlockTable.process_id) != process_id, col(QuotaBlockTable.expires_at) > now)
                .values(recalled=True)
            )
            return changed.rowcount > 0

    def recall_is_open(self, tenant_id: str, month: str, now: datetime) -> bool:
        """Whether some process has not answered yet."""
        with self._database.read() as session:
            unanswered = (*_in_month(tenant_id, month), col(QuotaBlockTable.recalled), col(QuotaBlockTable.expires_at) > now)
            return session.exec(select(QuotaBlockTable.process_id).where(*unanswered).limit(1)).first() is not None

    def recalled(self, process_id: str) -> list[tuple[str, str]]:
        """Tenant and month of the blocks of this process that others have asked for."""
        with self._database.read() as session:
            mine = (QuotaBlockTable.process_id == process_id, col(QuotaBlockTable.recalled))
            return list(session.exec(select(QuotaBlockTable.tenant_id, QuotaBlockTable.month).where(*mine)))

    def answer_recall(self, process_id: str, tenant_id: str, month: str) -> None:
        """Say that nothing more comes back."""
        with self._write() as session:
            session.execute(update(QuotaBlockTable).where(*_mine(process_id, tenant_id, month)).values(recalled=False))

    def reachable(self) -> bool:
        """Whether the database answers now."""
        try:
            with self._database.read() as session:
                session.exec(select(1))
        except GONE:
            return False
        return True

    def settle(self, process_id: str) -> int:
        """Turn a dead process's blocks into what its usage events metered; returns the rows that became free again."""
        with self._write() as session:
            owned = (col(QuotaBlockTable.process_id) == process_id,)
            keys = sorted(session.exec(select(QuotaBlockTable.tenant_id, QuotaBlockTable.month).where(*owned)))
            freed = sum(_settle(session, _mine(process_id, *key), *key, at=None) for key in keys)
            session.execute(delete(QuotaBlockTable).where(*owned))
        return freed

    def settle_expired(self, now: datetime, month: Month) -> list[tuple[str, int]]:
        """The same for expired blocks whose owner is not seen; they stay, so that what still comes of it counts too.

        Returns process ids and the rows that became free. Expired blocks of past months go.
        """
        freed = []
        for process_id, tenant_id, name in self._expired(now):
            with self._write() as session:
                mine = _mine(process_id, tenant_id, name)
                if name < month.name:
                    session.execute(delete(QuotaBlockTable).where(*mine, col(QuotaBlockTable.expires_at) <= now))
                    continue
                unused = _settle(session, (*mine, *_unsettled(now)), tenant_id, name, at=now)
            freed.append((process_id, unused))
        return freed

    def _expired(self, now: datetime) -> list[tuple[str, str, str]]:
        alive = select(ProcessTable.id).where(col(ProcessTable.last_seen_at) > now - SEEN)
        columns = (QuotaBlockTable.process_id, QuotaBlockTable.tenant_id, QuotaBlockTable.month)
        with self._database.read() as session:
            found = session.exec(select(*columns).where(*_unsettled(now), col(QuotaBlockTable.process_id).not_in(alive)))
            return sorted(found)

    def metered(self, tenant_id: str, month: Month) -> int:
        """Rows of the month that have been metered so far."""
        with self._database.read() as session:
            return _metered(session, tenant_id, month)

    def _ensure(self, session: Session, tenant_id: str, month: str) -> None:
        dialect = postgresql if self._database.dialect == "postgresql" else sqlite
        table: Table = QuotaTable.__table__  # type: ignore[attr-defined]
        session.execute(dialect.insert(table).values(tenant_id=tenant_id, month=month, taken=0).on_conflict_do_nothing())


def _add_to_block(session: Session, process_id: str, tenant_id: str, month: str, rows: int, expires_at: datetime) -> None:
    changed: CursorResult[object] = session.execute(  # type: ignore[assignment]
        update(QuotaBlockTable)
        .where(*_mine(process_id, tenant_id, month))
        .values(rows=col(QuotaBlockTable.rows) + rows, expires_at=expires_at)
    )
    if not changed.rowcount:  # only its owner adds a block, so nobody else can have done so meanwhile
        key = {"process_id": process_id, "tenant_id": tenant_id, "month": month}
        session.execute(insert(QuotaBlockTable).values(**key, rows=rows, expires_at=expires_at))


def _of(tenant_id: str, month: str) -> tuple[ColumnElement[bool], ...]:
    return (col(QuotaTable.tenant_id) == tenant_id, col(QuotaTable.month) == month)


def _in_month(tenant_id: str, month: str) -> tuple[ColumnElement[bool], ...]:
    return (col(QuotaBlockTable.tenant_id) == tenant_id, col(QuotaBlockTable.month) == month)


def _mine(process_id: str, tenant_id: str, month: str) -> tuple[ColumnElement[bool], ...]:
    return (col(QuotaBlockTable.process_id) == process_id, *_in_month(tenant_id, month))


def _unsettled(now: datetime) -> tuple[ColumnElement[bool], ...]:
    block = QuotaBlockTable
    return (col(block.expires_at) <= now, or_(col(block.settled_at).is_(None), col(block.settled_at) < col(block.expires_at)))


def _lock(session: Session, tenant_id: str, month: str) -> None:
    # always before a block of it, so that nobody waits in a circle
    session.exec(select(QuotaTable.taken).where(*_of(tenant_id, month)).with_for_update()).first()


def _settle(session: Session, which: Sequence[ColumnElement[bool]], tenant_id: str, month: str, *, at: datetime | None) -> int:
    """Leave in a block what its owner has metered; returns the rows that became free."""
    _lock(session, tenant_id, month)
    block = session.exec(select(QuotaBlockTable).where(*which).with_for_update()).first()
    if block is None:  # somebody else was quicker
        return 0
    metered = _metered_by(session, block)
    unused = block.rows - metered  # fewer than none where it answered more after others had settled it, or had no time to count
    _untake(session, tenant_id, month, unused)
    block.rows, block.settled_at = metered, at
    return unused


def _untake(session: Session, tenant_id: str, month: str, rows: int) -> None:
    if rows:
        session.execute(update(QuotaTable).where(*_of(tenant_id, month)).values(taken=col(QuotaTable.taken) - rows))


def _metered(session: Session, tenant_id: str, month: Month) -> int:
    hours = [int(moment.timestamp()) // 3600 for moment in (month.start, month.end)]
    total = session.exec(
        select(func.coalesce(func.sum(UsageSummaryTable.rows), 0)).where(
            UsageSummaryTable.tenant_id == tenant_id, col(UsageSummaryTable.hour) >= hours[0], col(UsageSummaryTable.hour) < hours[1]
        )
    ).one()
    return int(total)


def _metered_by(session: Session, block: QuotaBlockTable) -> int:
    total = session.exec(
        select(func.coalesce(func.sum(UsageEventTable.rows), 0)).where(
            UsageEventTable.process_id == block.process_id,
            UsageEventTable.tenant_id == block.tenant_id,
            UsageEventTable.month == block.month,
        )
    ).one()
    return int(total)
