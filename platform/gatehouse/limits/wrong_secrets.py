"""An alarm for each key id at which somebody guesses, from however many addresses. Nobody is locked out: key ids are public."""

import logging
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock

from gatehouse.limits.failed_credentials import network_of

LOGGER = logging.getLogger("gatehouse.limits")
ALARM_AT = 20
"""Wrong secrets for one key within WINDOW_S."""
WINDOW_S = 300.0
"""Also the shortest time between two alarms for one key."""
MAX_KEYS = 4096
MAX_NETWORKS = 8
"""Of so many it is counted how many there are; beyond it "or more" is said."""


@dataclass(slots=True)
class _Guesses:
    """What came for one key since `since`."""

    since: float
    count: int = 0
    networks: set[str] = field(default_factory=set)
    told_at: float = -math.inf


class WrongSecrets:
    """Thread-safe and bounded. Counts for ids that exist and, apart and in the same steps, for those that do not.

    The second kind raises no alarm: it is counted so that the time of a refusal does not tell which ids exist, and apart so that
    made-up ids cannot push out what is known of a real one.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = Lock()
        self._existing: OrderedDict[str, _Guesses] = OrderedDict()
        self._unknown: OrderedDict[str, _Guesses] = OrderedDict()
        self.alarms = 0
        """How often an alarm was raised."""

    def count(self, key_id: str, address: str, *, exists: bool) -> None:
        """One more wrong secret for this id."""
        now = self._monotonic()
        with self._lock:
            guesses = _touched(self._existing if exists else self._unknown, key_id, now)
            if now - guesses.since > WINDOW_S and guesses.count < ALARM_AT:
                _begin_anew(guesses, now)
            guesses.count += 1
            if len(guesses.networks) < MAX_NETWORKS:
                guesses.networks.add(network_of(address))
            if exists and guesses.count >= ALARM_AT and now - guesses.told_at >= WINDOW_S:
                self._raise_alarm(key_id, guesses, now)

    def _raise_alarm(self, key_id: str, guesses: _Guesses, now: float) -> None:
        self.alarms += 1
        more = " or more" if len(guesses.networks) == MAX_NETWORKS else ""
        LOGGER.warning(
            "key %s: %d calls with a wrong secret within %.0f s, from %d%s networks; it is not locked. Either somebody guesses, or a "
            "caller has an old or a broken copy of the key: see the addresses in the log, and gatehouse keys show %s",
            *(key_id, guesses.count, math.ceil(now - guesses.since), len(guesses.networks), more, key_id),
        )
        guesses.told_at = now
        _begin_anew(guesses, now)


def _touched(known: OrderedDict[str, _Guesses], key_id: str, now: float) -> _Guesses:
    guesses = known.get(key_id)
    if guesses is None:
        guesses = known[key_id] = _Guesses(now)
        if len(known) > MAX_KEYS:
            known.popitem(last=False)
    else:
        known.move_to_end(key_id)
    return guesses


def _begin_anew(guesses: _Guesses, now: float) -> None:
    guesses.since, guesses.count, guesses.networks = now, 0, set()
