"""Quotas in the database: rows taken ahead by blocks, each with its owner."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, CursorResult, Table, delete, func, insert, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select

from gatehouse.db.session import GONE, Database
from gatehouse.db.tables import QuotaBlockTable, QuotaTable, UsageEventTable, UsageSummaryTable
from gatehouse.limits.month import Month


@dataclass(frozen=True, slots=True)
class Block:
    """Rows that were taken ahead, 0 when too few are left, and what is left beside them."""

    rows: int
    left: int


class QuotaStore:
    """The quota and quota_block tables."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take_block(
        self, process_id: str, tenant_id: str, month: Month, *, limit: int, needed: int, shares: int, expires_at: datetime, recount: bool
    ) -> Block:
        """Take max(1, left / shares) rows ahead, or `needed` when that is more; nothing when fewer than `needed` are left.

        With `recount`, rows that the month has metered but nobody took (the quota was soft then) are counted as taken first.
        """
        with self._database.write() as session:
            self._ensure(session, tenant_id, month)
            if recount:
                self._count_metered(session, tenant_id, month)
            # the lock keeps the row as read until commit; SQLite has its one writer
            taken = session.exec(select(QuotaTable.taken).where(*_is(tenant_id, month)).with_for_update()).one()
            left = max(0, limit - taken)
            rows = min(left, max(needed, 1, left // shares))
            if rows < needed:
                return Block(0, left)
            session.execute(
                update(QuotaTable)
                .where(*_is(tenant_id, month), col(QuotaTable.taken) + rows <= limit)
                .values(taken=col(QuotaTable.taken) + rows)
            )
            self._add_to_block(session, process_id, tenant_id, month, rows, expires_at)
            return Block(rows, left - rows)

    def give_back(self, process_id: str, tenant_id: str, month: str, rows: int) -> None:
        """Return unused rows of a block."""
        with self._database.write() as session:
            mine = (
                col(QuotaBlockTable.process_id) == process_id,
                col(QuotaBlockTable.tenant_id) == tenant_id,
                col(QuotaBlockTable.month) == month,
            )
            changed: CursorResult[object] = session.execute(  # type: ignore[assignment]
                update(QuotaBlockTable).where(*mine, col(QuotaBlockTable.rows) >= rows).values(rows=col(QuotaBlockTable.rows) - rows)
            )
            if changed.rowcount:  # else the block has been settled already
                _untake(session, tenant_id, month, rows)

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
        freed = 0
        with self._database.write() as session:
            blocks = session.exec(
                select(QuotaBlockTable)
                .where(QuotaBlockTable.process_id == process_id)
                .order_by(col(QuotaBlockTable.tenant_id))
                .with_for_update()
            ).all()
            for block in blocks:
                unused = max(0, block.rows - _metered_by(session, block))
                _untake(session, block.tenant_id, block.month, unused)
                freed += unused
            session.execute(delete(QuotaBlockTable).where(col(QuotaBlockTable.process_id) == process_id))
        return freed

    def metered(self, tenant_id: str, month: Month) -> int:
        """Rows of the month that have been metered so far."""
        with self._database.read() as session:
            return _metered(session, tenant_id, month)

    def _ensure(self, session: Session, tenant_id: str, month: Month) -> None:
        dialect = postgresql if self._database.dialect == "postgresql" else sqlite
        table: Table = QuotaTable.__table__  # type: ignore[attr-defined]
        session.execute(dialect.insert(table).values(tenant_id=tenant_id, month=month.name, taken=0).on_conflict_do_nothing())

    def _count_metered(self, session: Session, tenant_id: str, month: Month) -> None:
        metered = _metered(session, tenant_id, month)
        session.execute(update(QuotaTable).where(*_is(tenant_id, month), col(QuotaTable.taken) < metered).values(taken=metered))

    def _add_to_block(self, session: Session, process_id: str, tenant_id: str, month: Month, rows: int, expires_at: datetime) -> None:
        key = {"process_id": process_id, "tenant_id": tenant_id, "month": month.name}
        mine = [col(getattr(QuotaBlockTable, name)) == value for name, value in key.items()]
        changed: CursorResult[object] = session.execute(  # type: ignore[assignment]
            update(QuotaBlockTable).where(*mine).values(rows=col(QuotaBlockTable.rows) + rows, expires_at=expires_at)
        )
        if not changed.rowcount:  # only its owner adds a block, so nobody else can have done so meanwhile
            session.execute(insert(QuotaBlockTable).values(**key, rows=rows, expires_at=expires_at))


def _is(tenant_id: str, month: Month) -> tuple[ColumnElement[bool], ...]:
    return (col(QuotaTable.tenant_id) == tenant_id, col(QuotaTable.month) == month.name)


def _untake(session: Session, tenant_id: str, month: str, rows: int) -> None:
    if rows:
        session.execute(
            update(QuotaTable)
            .where(col(QuotaTable.tenant_id) == tenant_id, col(QuotaTable.month) == month)
            .values(taken=col(QuotaTable.taken) - rows)
        )


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
