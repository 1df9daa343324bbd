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
    """Counts by second, written down by `write` a second after the first of them. Belongs to the event loop.

    What is in memory when the process is killed is lost: at most a second of calls that owe nothing.
    """

    def __init__(self, write: Callable[[RefusedCalls], None], later: Callable[[float, Callable[[], None]], None] = call_later) -> None:
        self._write = write
        self._later = later
        self._counts: Counter[tuple[int, str, str, int, str]] = Counter()

    def count(self, second: int, tenant_id: str, key_id: str, status: int, limit: str) -> None:
        """One call. `second` since 1970 (UTC)."""
        if not self._counts:
            self._later(FLUSH_AFTER_S, self.flush)
        self._counts[second, tenant_id, key_id, status, limit] += 1

    def flush(self) -> None:
        """Write down what has been counted."""
        counts, self._counts = self._counts, Counter()
        for (second, tenant_id, key_id, status, limit), calls in counts.items():
            self._write(RefusedCalls(refused=calls, second=second, tenant_id=tenant_id, key_id=key_id, status=status, limit=limit))
