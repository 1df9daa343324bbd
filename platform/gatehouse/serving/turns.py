"""Long work that holds the interpreter, in short steps: one thread's at a time, and after each step the event loop comes first.

Decoding and writing JSON is C that keeps the interpreter's lock. A thread that wants the lock waits for the switch interval and for the
end of the call into C, and of several that want it any may get it. Here a thread rests after each step, so that the event loop finds the
lock free, rests again while the loop is busy, and only then hands over to the next thread that has work of this kind.
"""

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TypeAlias, TypeVar

T = TypeVar("T")
Pause: TypeAlias = Callable[[], None]
"""What work calls between its steps, as often as it likes."""
STEP_S = 0.00025
REST_S = 0.0001
"""A sleep, which lets go of the interpreter."""
BUSY_S = 0.00025
"""A rest that took so much longer than it should had to wait for the interpreter: the event loop, or another thread, is at work."""
MOST_RESTS = 8
"""In a row, so that long work gets on beside an event loop that is never idle; slowly, with about a twentieth of the time."""
SWITCH_S = 0.0005


def share_evenly() -> None:
    """A thread of this process that runs Python gives the interpreter up after half a millisecond when another wants it, not after 5 ms."""
    sys.setswitchinterval(SWITCH_S)


class Turns:
    """Threads take turns in the order in which they ask. Safe in any thread but the event loop's, since it blocks."""

    def __init__(
        self, step_s: float = STEP_S, rest: Callable[[float], None] = time.sleep, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._step_s = step_s
        self._rest = rest
        self._clock = clock
        self._lock = threading.Lock()
        self._taken = False
        self._asking: deque[threading.Lock] = deque()

    def run(self, work: Callable[[Pause], T]) -> T:
        """The work's own answer or exception."""
        self._take()
        began = self._clock()

        def pause() -> None:
            nonlocal began
            if self._clock() - began < self._step_s:
                return
            self._give_way()
            if self._asking:
                self._pass_on()
                self._take()
            began = self._clock()

        try:
            return work(pause)
        finally:
            self._pass_on()

    def _give_way(self) -> None:
        """Rest until nobody else is at work, or often enough."""
        for _ in range(MOST_RESTS):
            asleep = self._clock()
            self._rest(REST_S)
            if self._clock() - asleep < REST_S + BUSY_S:
                return

    def _take(self) -> None:
        with self._lock:
            if not self._taken:
                self._taken = True
                return
            mine = threading.Lock()
            mine.acquire()
            self._asking.append(mine)
        mine.acquire()

    def _pass_on(self) -> None:
        with self._lock:
            if self._asking:
                self._asking.popleft().release()
            else:
                self._taken = False
