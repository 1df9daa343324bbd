"""Which calls get a line of the log: all that were refused or failed, and of answered predictions the first ones of each second."""

import time
from collections.abc import Callable

from gatehouse.call import Call


class LogPace:
    """Under load a line for each answer would cost more than its check, its limits and its metering, which keeps all of them anyway."""

    def __init__(self, answers_per_s: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = answers_per_s
        self._clock = clock
        self._ends_at = 0
        """Of the second that is counted."""
        self._written = 0
        self._left_out = 0

    def take(self, call: Call) -> int | None:
        """None where the call gets no line; else how many got none since the last one."""
        if call.status == 200 and call.route is not None:
            now = self._clock()
            if now >= self._ends_at:
                self._ends_at, self._written = int(now) + 1, 0
            if self._written >= self._most:
                self._left_out += 1
                return None
            self._written += 1
        return self.rest()

    def rest(self) -> int:
        """How many got no line since the last one; whoever asks says so."""
        left_out, self._left_out = self._left_out, 0
        return left_out
