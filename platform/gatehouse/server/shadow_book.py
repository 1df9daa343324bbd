"""Keeps what shadows came to until the database takes it, some seconds later: sums by tenant and day, never a row."""

import logging
from collections import Counter
from math import isfinite
from threading import Event, Lock

from sqlalchemy.exc import DataError, IntegrityError

from gatehouse.db.session import GONE, Database
from gatehouse.migration.shadow_store import add_shadows
from gatehouse.migration.shadow_sums import ShadowDay, ShadowSums, UpgradeFailure
from gatehouse.migration.shift_buckets import FURTHEST, LARGEST
from gatehouse.server.shadow_wire import Result

LOGGER = logging.getLogger("gatehouse.shadows")
MOST_KEPT = 20_000
"""Sums of tenants and days that wait for a database that is gone; calls of further ones are lost, and counted."""
MOST_REASONS = 10_000
MOST_ROWS = 1_000
"""Of a transaction, some milliseconds: while it lasts nobody else writes to SQLite."""
PAUSE_S = 0.02
"""Between two transactions, so that whoever waits for the database gets it."""
REFUSED = (DataError, IntegrityError)
"""What a database that is there says of figures that it will never take."""


class ShadowBook:
    """Safe in any thread. The totals are of calls, since the start."""

    def __init__(self, database: Database, most_kept: int = MOST_KEPT) -> None:
        self.compared = self.dropped = self.failed = self.lost = 0
        self._database = database
        self._most_kept = most_kept
        self._sums: dict[ShadowDay, ShadowSums] = {}
        self._lock = Lock()
        self._flushing = Lock()
        self._closing = Event()
        self._refused = False

    def add(self, key: ShadowDay, sums: ShadowSums) -> None:
        """Take sums in."""
        with self._lock:
            self.dropped += sums.dropped
            self.failed += sums.failed
            self.compared += sums.calls - sums.dropped - sums.failed
            self._keep(key, sums)

    def flush(self) -> None:
        """Add all to the database, piece by piece. Raises what a database that is gone raises; then nothing is lost by that."""
        with self._flushing:
            with self._lock:
                waiting = sorted(self._sums, reverse=True)
            self._flush(waiting, MOST_ROWS)

    def hurry(self) -> None:
        """Pause no more, also in the flush under way: the end is near."""
        self._closing.set()

    def close(self) -> None:
        """The last of it. Raises nothing: others write down theirs after it."""
        self.hurry()
        try:
            self.flush()
        except Exception as error:
            calls = sum(sums.calls for sums in self._sums.values())
            LOGGER.warning("what the shadows of the last %d calls came to was not written down (%s)", calls, type(error).__name__)

    def _flush(self, waiting: list[ShadowDay], most_rows: int) -> None:
        """The last of `waiting` first."""
        while waiting:
            self._write(self._taken(waiting, most_rows))
            if waiting:
                self._closing.wait(PAUSE_S)

    def _taken(self, waiting: list[ShadowDay], most_rows: int) -> dict[ShadowDay, ShadowSums]:
        """The next ones, out of the book: of so many rows in the database, or a single one."""
        taken: dict[ShadowDay, ShadowSums] = {}
        with self._lock:
            while waiting and (not taken or _rows(self._sums[waiting[-1]]) <= most_rows):
                key = waiting.pop()
                taken[key] = self._sums.pop(key)
                most_rows -= _rows(taken[key])
        return taken

    def _write(self, taken: dict[ShadowDay, ShadowSums]) -> None:
        """In one transaction; of what the database refuses, each is tried alone. Raises what a database that is gone raises."""
        try:
            with self._database.write() as session:
                add_shadows(session, taken)
        except Exception as error:
            gone = isinstance(error, GONE) and not isinstance(error, REFUSED)
            if len(taken) == 1 and not gone:
                self._lose(taken, error)
                return
            self._put_back(taken)
            if gone:
                raise
            self._flush(sorted(taken, reverse=True), 0)

    def _put_back(self, taken: dict[ShadowDay, ShadowSums]) -> None:
        with self._lock:
            for key, sums in taken.items():
                kept = self._sums.setdefault(key, sums)
                if kept is not sums:
                    kept.add(sums)

    def _lose(self, taken: dict[ShadowDay, ShadowSums], error: Exception) -> None:
        with self._lock:
            self.lost += sum(sums.calls for sums in taken.values())
        if not self._refused:  # its words may hold what a shadow said
            LOGGER.warning("figures of shadows that the database refuses are lost, and counted (%s)", type(error).__name__)
        self._refused = True

    def _keep(self, key: ShadowDay, sums: ShadowSums) -> None:
        """The lock is held."""
        kept = self._sums.get(key)
        if kept is not None:
            kept.add(sums)
        elif len(self._sums) < self._most_kept:
            self._sums[key] = sums
        else:
            self.lost += sums.calls


def _rows(sums: ShadowSums) -> int:
    """In the database."""
    return 1 + len(sums.shifts) + len(sums.failures)


def sums_of(result: Result, calls: int, rows: int) -> ShadowSums | None:
    """What a tenant's calls came to; None where that cannot be true of so many calls and rows."""
    compared = result.rows - result.not_upgraded
    true = (
        result.failed + result.dropped <= calls
        and (result.rows == rows if result.failed == result.dropped == 0 else result.rows <= rows)
        and 0 <= result.disagreed <= compared
        and sum(result.shifts.values()) == compared
        and all(abs(bucket) <= FURTHEST for bucket in result.shifts)
        and isfinite(result.shift_sum)
        and abs(result.shift_sum) <= LARGEST * compared
        and len(result.failures) <= MOST_REASONS
        and all(field.isprintable() and count <= result.not_upgraded for field, _, count in result.failures)
    )
    if not true:
        return None
    sums = ShadowSums(calls, result.dropped, result.failed, result.rows, result.not_upgraded, result.disagreed, result.shift_sum)
    sums.shifts = Counter(result.shifts)
    for field, code, count in result.failures:
        sums.failures[UpgradeFailure(field, code)] += count
    return sums
