"""Which versions score whose calls too, and which of them are not to be tried for a while because they failed."""

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from gatehouse.migration.endpoint import Endpoint
from gatehouse.server.shadow_wire import Pair

LOGGER = logging.getLogger("gatehouse.shadows")
FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 300.0
Target = tuple[str, str]
"""API version and model version that score the calls of an endpoint too."""


def targets_of(endpoints: Iterable[Endpoint], now: datetime) -> Mapping[tuple[str, str], Target]:
    """By model and API version of the endpoint that is called; without those whose other version is gone, or is the one that answers."""
    known = {(endpoint.model, endpoint.api_version): endpoint for endpoint in endpoints}
    called = {name: endpoint for name, endpoint in known.items() if endpoint.bridged_to is None and endpoint.state != "retired"}
    found = {name: _target(endpoint, known, now) for name, endpoint in called.items() if endpoint.shadow}
    return {name: target for name, target in found.items() if target is not None}


def _target(endpoint: Endpoint, known: Mapping[tuple[str, str], Endpoint], now: datetime) -> Target | None:
    wanted = endpoint.shadow.version if endpoint.shadow else ""
    if not wanted.startswith("v"):
        return None if wanted == endpoint.stable_version else (endpoint.api_version, wanted)
    other = known.get((endpoint.model, wanted))
    if other is None or other.bridged_to is not None or other.state_at(now) == "retired":
        return None
    return wanted, other.stable_version


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
