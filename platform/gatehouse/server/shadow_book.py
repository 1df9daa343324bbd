"""Keeps what shadows came to until the database takes it, some seconds later: sums by tenant and day, never a row."""

import logging
from collections import Counter
from math import isfinite
from threading import Lock

from gatehouse.db.session import GONE, Database
from gatehouse.migration.shadow_store import add_shadows
from gatehouse.migration.shadow_sums import ShadowDay, ShadowSums, UpgradeFailure
from gatehouse.migration.shift_buckets import FURTHEST, LARGEST
from gatehouse.server.shadow_wire import Result

LOGGER = logging.getLogger("gatehouse.shadows")
MOST_KEPT = 20_000
"""Sums of tenants and days that wait for a database that is gone; calls of further ones are lost, and counted."""
MOST_REASONS = 10_000


class ShadowBook:
    """Safe in any thread. The totals are of calls, since the start."""

    def __init__(self, database: Database, most_kept: int = MOST_KEPT) -> None:
        self.compared = self.dropped = self.failed = self.lost = 0
        self._database = database
        self._most_kept = most_kept
        self._sums: dict[ShadowDay, ShadowSums] = {}
        self._lock = Lock()
        self._flushing = Lock()

    def add(self, key: ShadowDay, sums: ShadowSums) -> None:
        """Take sums in."""
        with self._lock:
            self.dropped += sums.dropped
            self.failed += sums.failed
            self.compared += sums.calls - sums.dropped - sums.failed
            self._keep(key, sums)

    def flush(self) -> None:
        """Add all to the database. Raises what a database that is gone raises; then nothing is lost by that."""
        with self._flushing:
            with self._lock:
                waiting, self._sums = self._sums, {}
            if not waiting:
                return
            try:
                with self._database.write() as session:
                    add_shadows(session, waiting)
            except BaseException:
                with self._lock:
                    for key, sums in waiting.items():
                        self._keep(key, sums)
                raise

    def close(self) -> None:
        """The last of it."""
        try:
            self.flush()
        except GONE as error:
            calls = sum(sums.calls for sums in self._sums.values())
            LOGGER.warning("what the shadows of the last %d calls came to was not written down (%s)", calls, type(error).__name__)

    def _keep(self, key: ShadowDay, sums: ShadowSums) -> None:
        """The lock is held."""
        kept = self._sums.get(key)
        if kept is not None:
            kept.add(sums)
        elif len(self._sums) < self._most_kept:
            self._sums[key] = sums
        else:
            self.lost += sums.calls


def sums_of(result: Result, calls: int, rows: int) -> ShadowSums | None:
    """What a tenant's calls came to; None where that cannot be true of so many calls and rows."""
    compared = result.rows - result.not_upgraded
    true = (
        result.failed <= calls
        and (result.rows == rows if result.failed == 0 else result.rows <= rows)
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
    sums = ShadowSums(calls, 0, result.failed, result.rows, result.not_upgraded, result.disagreed, result.shift_sum)
    sums.shifts = Counter(result.shifts)
    for field, code, count in result.failures:
        sums.failures[UpgradeFailure(field, code)] += count
    return sums
