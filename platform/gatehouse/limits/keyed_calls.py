"""This process's calls that carry an Idempotency-Key, by the ids of their usage events: those under way, and those answered lately."""

from collections import OrderedDict
from threading import Lock

ANSWERED_KEPT = 20_000
"""Until their events are in the database. Further calls are only claimed while that is there, and then events reach it in a moment."""


class KeyedCalls:
    """Thread-safe."""

    def __init__(self, kept: int = ANSWERED_KEPT) -> None:
        self._kept = kept
        self._under_way: set[str] = set()
        self._answered: OrderedDict[str, None] = OrderedDict()
        self._lock = Lock()

    def begin(self, event_id: str) -> None:
        with self._lock:
            self._under_way.add(event_id)

    def end(self, event_id: str, *, answered: bool) -> None:
        """It is not under way any more; again does no harm."""
        with self._lock:  # whoever asks first for the one and then for the other finds an answered call in one of them
            if answered:
                self._answered[event_id] = None
                if len(self._answered) > self._kept:
                    self._answered.popitem(last=False)
            self._under_way.discard(event_id)

    def is_under_way(self, event_id: str) -> bool:
        with self._lock:
            return event_id in self._under_way

    def was_answered(self, event_id: str) -> bool:
        with self._lock:
            return event_id in self._answered
