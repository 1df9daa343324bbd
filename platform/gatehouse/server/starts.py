"""Which calls begin in a turn of the event loop: a thousand callers at one moment do not stand before one who has just been served.

What a refusal costs is spent before it is known who calls. So connections are looked at: where the last call was let in the next one begins
at once; of all others only so many are read and begin in a turn, in the order in which they came. Of a connection one call waits here.
"""

import asyncio
from collections import deque
from collections.abc import Callable

MOST_STARTS = 16
"""Of one turn: some milliseconds. A turn in which nothing else is to be done is short, so those that wait lose little."""


class Starts:
    """The calls of one process that wait for a turn."""

    def __init__(self) -> None:
        self._left = MOST_STARTS
        """In this turn. Where it is less than that, `_next_turn` has been asked for."""
        self._waiting: deque[Callable[[], None]] = deque()

    def begin(self, start: Callable[[], None], loop: asyncio.AbstractEventLoop) -> None:
        """Call `start` now, or in a later turn."""
        if not self._left:
            self._waiting.append(start)
            return
        if self._left == MOST_STARTS:
            loop.call_soon(self._next_turn, loop)
        self._left -= 1
        start()

    def _next_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        starts = [self._waiting.popleft() for _ in range(min(MOST_STARTS, len(self._waiting)))]
        self._left = MOST_STARTS - len(starts)
        if starts:
            loop.call_soon(self._next_turn, loop)
        for start in starts:
            try:
                start()
            except Exception as error:  # of one connection: the others have their turn all the same
                loop.call_exception_handler({"message": "a call could not begin", "exception": error})
