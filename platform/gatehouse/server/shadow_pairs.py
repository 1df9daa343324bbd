"""Which versions the process of the shadows has loaded, and which are not to be tried for a while because they failed."""

import logging
from collections.abc import Callable

from gatehouse.server.shadow_wire import Pair

LOGGER = logging.getLogger("gatehouse.shadows")
FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 300.0


class Pairs:
    """Of one thread. `monotonic` is in seconds."""

    def __init__(self, monotonic: Callable[[], float], first_pause_s: float = FIRST_PAUSE_S) -> None:
        self.first_pause_s = first_pause_s
        self._monotonic = monotonic
        self._ready: set[Pair] = set()
        self._failures: dict[Pair, int] = {}
        """In a row."""
        self._until: dict[Pair, float] = {}

    def keep(self, wanted: set[Pair]) -> None:
        """Forget all others."""
        self._ready &= wanted
        self._failures = {pair: count for pair, count in self._failures.items() if pair in wanted}
        self._until = {pair: until for pair, until in self._until.items() if pair in wanted}

    def ready(self, pair: Pair) -> bool:
        """Whether the process has it loaded."""
        return pair in self._ready

    def all_ready(self) -> tuple[Pair, ...]:
        """What the process is to keep, whatever it loads."""
        return tuple(self._ready)

    def paused(self, pair: Pair) -> bool:
        """Whether it failed too lately to be tried."""
        return self._monotonic() < self._until.get(pair, 0.0)

    def note_ready(self, pair: Pair) -> None:
        self._ready.add(pair)

    def note_scored(self, pair: Pair) -> None:
        if self._failures.pop(pair, 0):
            LOGGER.warning("%s is compared again", pair)

    def note_failed(self, pair: Pair, reason: str) -> None:
        """Each failure in a row makes the pause longer."""
        count = self._failures.get(pair, 0)
        pause = min(LONGEST_PAUSE_S, self.first_pause_s * 2.0**count)
        self._failures[pair] = count + 1
        self._until[pair] = self._monotonic() + pause
        self._ready.discard(pair)
        said = "".join(character if character.isprintable() else "?" for character in reason)
        LOGGER.warning("%s is not compared, and tried again in %.0f s: %s", pair, pause, said)

    def note_process_gone(self) -> None:
        """All is to be loaded again."""
        self._ready.clear()
