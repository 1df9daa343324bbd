"""What limits in observe mode, and soft quotas, would have refused: counted in memory, written to the database behind."""

import logging
import time
from collections.abc import Callable
from datetime import datetime
from threading import Lock

from gatehouse.limits.month import month_of
from gatehouse.limits.standing_store import StandingStore
from gatehouse.principal import Principal

LOG = logging.getLogger("gatehouse.limits")
LOG_EVERY_S = 60.0


class Observed:
    """`count` belongs to the event loop, `flush` to one thread. `now` is an aware clock, `monotonic` one in seconds."""

    def __init__(self, store: StandingStore, now: Callable[[], datetime], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._now = now
        self._monotonic = monotonic
        self._pending: dict[tuple[str, str, str], tuple[int, int]] = {}
        self._totals: dict[tuple[str, str], int] = {}
        self._logged: dict[tuple[str, str], tuple[float, int]] = {}
        self._lock = Lock()

    @property
    def totals(self) -> dict[tuple[str, str], int]:
        """Calls that would have been refused here since the start, by tenant and limit."""
        return dict(self._totals)

    def count(self, principal: Principal, name: str, rows: int) -> None:
        """One call that the limit would have refused, with its rows where they were known."""
        key = (principal.tenant_id, month_of(self._now()).name, name)
        with self._lock:
            calls, rows_before = self._pending.get(key, (0, 0))
            self._pending[key] = (calls + 1, rows_before + rows)
        shown = (principal.tenant, name)
        self._totals[shown] = self._totals.get(shown, 0) + 1
        self._log(shown)

    def flush(self) -> None:
        """Write down what has been counted. Blocks; raises what a database that is gone raises, and then keeps it."""
        with self._lock:
            counts, self._pending = self._pending, {}
        if not counts:
            return
        try:
            self._store.add_observed(counts, self._now())
        except BaseException:
            with self._lock:
                for key, (calls, rows) in counts.items():
                    more = self._pending.get(key, (0, 0))
                    self._pending[key] = (calls + more[0], rows + more[1])
            raise

    def _log(self, shown: tuple[str, str]) -> None:
        clock = self._monotonic()
        logged_at, total = self._logged.get(shown, (float("-inf"), 0))
        if clock - logged_at >= LOG_EVERY_S:
            self._logged[shown] = (clock, self._totals[shown])
            more = self._totals[shown] - total
            LOG.info("observed: %s of tenant %s would have refused %d calls since this was last said", shown[1], shown[0], more)
