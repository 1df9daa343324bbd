"""Refused calls, added up by second: a caller far over its limit costs a line a second, not one a call."""

import asyncio
from collections import Counter
from collections.abc import Callable

from gatehouse.usage.event import RefusedCalls

FLUSH_AFTER_S = 1.0


def call_later(seconds: float, then: Callable[[], None]) -> None:
    """On the running event loop."""
    asyncio.get_running_loop().call_later(seconds, then)


class RefusedCounter:
    """Counts of the current second, written down by `write` when it is over. Belongs to the event loop.

    What is in memory when the process is killed is lost: at most a second of calls that owe nothing.
    """

    def __init__(self, write: Callable[[RefusedCalls], None], later: Callable[[float, Callable[[], None]], None] = call_later) -> None:
        self._write = write
        self._later = later
        self._second = 0
        self._counts: Counter[tuple[str, str, int, str]] = Counter()

    def count(self, second: int, tenant_id: str, key_id: str, status: int, limit: str) -> None:
        """One call. `second` since 1970 (UTC)."""
        if second != self._second:  # also when the clock was set back
            self.flush()
            self._second = second
        if not self._counts:
            self._later(FLUSH_AFTER_S, self.flush)
        self._counts[tenant_id, key_id, status, limit] += 1

    def flush(self) -> None:
        """Write down what has been counted."""
        counts, self._counts = self._counts, Counter()
        for (tenant_id, key_id, status, limit), calls in counts.items():
            entry = RefusedCalls(refused=calls, second=self._second, tenant_id=tenant_id, key_id=key_id, status=status, limit=limit)
            self._write(entry)
