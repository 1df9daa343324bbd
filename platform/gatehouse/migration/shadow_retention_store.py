"""How long sums of shadows are kept: a little longer than reports look back, or until a tenant's events are erased."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Select, Table, delete, select, tuple_
from sqlmodel import Session, col

from gatehouse.db.session import Database
from gatehouse.db.tables import EndpointTable
from gatehouse.migration.report_standing import SPAN_DAYS
from gatehouse.migration.shadow_rows_store import ALL, day_number

KEPT_DAYS = SPAN_DAYS + 5
"""Today and so many days (UTC) before it."""
EVERY = timedelta(hours=1)
BATCH = 2_000


class ShadowRetention:
    """Used by one thread; every process has one, and they do not wait for each other."""

    def __init__(self, database: Database, now: Callable[[], datetime], batch: int = BATCH) -> None:
        self._database = database
        self._now = now
        self._batch = batch
        self._next_at = now()

    def prune(self) -> None:
        """Take a batch of old sums away; after the last one it rests for an hour. Raises what a database that is gone raises."""
        now = self._now()
        if now < self._next_at and self._next_at - now <= EVERY:  # else the clock was set back
            return
        table = self._old(day := day_number(now.date()) - KEPT_DAYS)
        if table is None:
            self._next_at = now + EVERY
            return
        with self._database.write() as session:
            remove_old(session, table, day, self._batch)

    def _old(self, before: int) -> Table | None:
        """A table with sums of the days before; nearly always there is none, which needs no write lock."""
        with self._database.read() as session:
            return next((table for table in ALL if session.execute(_oldest(table, before, 1)).first()), None)


def remove_old(session: Session, table: Table, before: int, most: int) -> None:
    """Take away at most so many sums of the days before (days since 1970), but for those that another process has in hand."""
    some = _oldest(table, before, most).with_for_update(of=table, skip_locked=True)
    session.execute(delete(table).where(tuple_(*table.primary_key).in_(some)))


def remove_shadows(session: Session, tenant_id: str, before: date, most: int) -> int:
    """Take away what is kept of a tenant's shadows of the days before `before` (UTC), at most so many sums of a kind; how many."""
    removed = 0
    for table in ALL:
        some = select(*table.primary_key).where(table.c.tenant_id == tenant_id, table.c.day < day_number(before)).limit(most)
        some = some.with_for_update()  # those that another process takes away meanwhile give way to others, so that 0 means none
        removed += len(session.execute(delete(table).where(tuple_(*table.primary_key).in_(some)).returning(table.c.day)).all())
    return removed


def _oldest(table: Table, before: int, most: int) -> Select[Any]:
    """Keys of sums; endpoint by endpoint, so that an index leads to the days."""
    same = (table.c.model == col(EndpointTable.model), table.c.api_version == col(EndpointTable.api_version))
    return select(*table.primary_key).join(EndpointTable, same[0] & same[1]).where(table.c.day < before).limit(most)
