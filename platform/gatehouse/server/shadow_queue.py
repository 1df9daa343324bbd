"""Answered calls that wait to be scored once more: bounded in calls, rows and bytes. What finds no room is dropped, and counted."""

from collections import Counter, OrderedDict, deque
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

MOST_CALLS = 10_000
MOST_ROWS = 200_000
MOST_BYTES = 64 * 1024 * 1024
BATCH_CALLS = 1_000
BATCH_ROWS = 2_000
BATCH_CELLS = 50_000
"""To join so many takes the interpreter less than a millisecond. A call of more is a batch of its own, and joined with none."""
CELL_BYTES = 64
"""Of a cell that is a Python object, beside what its text takes."""


class Answered(NamedTuple):
    """What answered the calls of a batch."""

    model: str
    api_version: str
    version: str


class ShadowCall(NamedTuple):
    """One answered call: its rows as the version decoded them, and what that version scored."""

    of: Answered
    tenant_id: str
    day: int
    """Days since 1970 (UTC)."""
    values: np.ndarray[Any, Any]
    scores: np.ndarray[Any, Any]
    bytes: int


def reckoned_bytes(values: np.ndarray[Any, Any], scores: np.ndarray[Any, Any], bytes_in: int) -> int:
    """What a call takes while it waits; `bytes_in` is the size of its body."""
    own = values.size * CELL_BYTES + bytes_in if values.dtype == object else values.nbytes
    return own + scores.nbytes


class ShadowQueue:
    """Filled by the event loop, emptied by one thread. The versions that answered take turns."""

    def __init__(self, calls: int = MOST_CALLS, rows: int = MOST_ROWS, bytes: int = MOST_BYTES) -> None:
        self._most = (calls, rows, bytes)
        self._held = (0, 0, 0)
        self._waiting: OrderedDict[Answered, deque[ShadowCall]] = OrderedDict()
        self._dropped: Counter[tuple[Answered, str, int]] = Counter()
        self._lock = Lock()

    @property
    def calls(self) -> int:
        """That wait or are being scored."""
        return self._held[0]

    def put(self, call: ShadowCall) -> None:
        """Some microseconds. Without room the call is counted as dropped."""
        with self._lock:
            held = self._held
            wanted = (held[0] + 1, held[1] + len(call.values), held[2] + call.bytes)
            if wanted[0] > self._most[0] or wanted[1] > self._most[1] or wanted[2] > self._most[2]:
                self._dropped[call.of, call.tenant_id, call.day] += 1
                return
            self._held = wanted
            line = self._waiting.get(call.of)
            if line is None:
                line = self._waiting[call.of] = deque()
            line.append(call)

    def next(self) -> list[ShadowCall]:
        """Calls that one version answered, the oldest ones; empty where none wait. They keep their room until they are `done`."""
        with self._lock:
            if not self._waiting:
                return []
            of, line = self._waiting.popitem(last=False)
            batch = [line.popleft()]
            rows = len(batch[0].values)
            most = min(BATCH_ROWS, BATCH_CELLS // batch[0].values.shape[1])
            while line and len(batch) < BATCH_CALLS and rows + len(line[0].values) <= most:
                rows += len(line[0].values)
                batch.append(line.popleft())
            if line:
                self._waiting[of] = line
            return batch

    def done(self, batch: list[ShadowCall]) -> None:
        """Their room is free."""
        rows, bytes = sum(len(call.values) for call in batch), sum(call.bytes for call in batch)
        with self._lock:
            held = self._held
            self._held = (held[0] - len(batch), held[1] - rows, held[2] - bytes)

    def take_dropped(self) -> Counter[tuple[Answered, str, int]]:
        """Calls dropped since the last time, by what answered them, tenant and day."""
        with self._lock:
            dropped, self._dropped = self._dropped, Counter()
            return dropped
