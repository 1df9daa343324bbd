"""Long work that holds the interpreter, in short steps: one thread's at a time, and after each step the event loop comes first.

Decoding and writing JSON is C that keeps the interpreter's lock. A thread that wants the lock waits for the switch interval and for the
end of the call into C, and of several that want it any may get it. Here a thread rests after each step, so that the event loop finds the
lock free, and only then hands over to the next thread that has work of this kind.
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
STEP_S = 0.0005
REST_S = 0.00002
"""The shortest sleep that really lets go; the system makes about 0.07 ms of it."""


def share_evenly() -> None:
    """A thread of this process that runs Python gives the interpreter up after a step's time when another wants it, not after 5 ms."""
    sys.setswitchinterval(STEP_S)


class Turns:
    """Threads take turns in the order in which they ask. Safe in any thread but the event loop's, since it blocks."""

    def __init__(self, step_s: float = STEP_S, rest: Callable[[float], None] = time.sleep) -> None:
        self._step_s = step_s
        self._rest = rest
        self._lock = threading.Lock()
        self._taken = False
        self._asking: deque[threading.Lock] = deque()

    def run(self, work: Callable[[Pause], T]) -> T:
        """The work's own answer or exception."""
        self._take()
        began = time.perf_counter()

        def pause() -> None:
            nonlocal began
            if time.perf_counter() - began < self._step_s:
                return
            self._rest(REST_S)
            if self._asking:
                self._pass_on()
                self._take()
            began = time.perf_counter()

        try:
            return work(pause)
        finally:
            self._pass_on()

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
