"""How late the event loop is for what was due: what every call waits for as well."""

import asyncio
from collections import deque

BEAT_S = 0.25
KEPT = 120
"""Beats: half a minute, so that whoever asks every 15 s misses none."""


class LoopLag:
    """`longest_s` belongs to any thread, the rest to the event loop."""

    def __init__(self) -> None:
        self._late: deque[float] = deque(maxlen=KEPT)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Beat as long as the loop runs."""
        self._set(loop)

    def longest_s(self) -> float:
        """The longest of the last half minute; 0 before there was a beat."""
        return max(self._late.copy(), default=0.0)

    def _set(self, loop: asyncio.AbstractEventLoop) -> None:
        due = loop.time() + BEAT_S
        loop.call_at(due, self._beat, loop, due)

    def _beat(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self._late.append(max(0.0, loop.time() - due))
        self._set(loop)
