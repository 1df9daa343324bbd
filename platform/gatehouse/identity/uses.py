"""What the use of a key leaves behind: when it was last used, and its digest under a newer pepper.

Written by a thread of its own, never on the road of a call; of each key at most once a minute.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from gatehouse.db.session import GONE, Database
from gatehouse.identity import key_store
from gatehouse.identity.key_store import Redigest

LOGGER = logging.getLogger("gatehouse.keys")
INTERVAL_S = 5.0
EACH_KEY_S = 60.0
BATCH = 500
"""Keys in one transaction: no other writer waits long for its turn."""


class KeyUses:
    """`note` and `renew` may be called from any thread and cost next to nothing. A crash loses at most a minute."""

    def __init__(self, database: Database, *, interval_s: float = INTERVAL_S, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._interval_s = interval_s
        self._monotonic = monotonic
        self._used: dict[str, float] = {}
        self._redigests: dict[tuple[str, bytes], Redigest] = {}
        self._written: dict[str, float] = {}
        """Of each key that was used in the last minute, when that was written (monotonic)."""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._failing = False

    def note(self, key_id: str, at: float) -> None:
        """A key was used, `at` in seconds since 1970."""
        self._used[key_id] = at

    def renew(self, redigest: Redigest) -> None:
        """A key was proven under an older pepper."""
        self._redigests[redigest.key_id, redigest.before.digest] = redigest

    def start(self) -> None:
        """Write from now on until `close`."""
        self._thread = threading.Thread(target=self._run, name="key-uses", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread and write what is left, also of keys that were written less than a minute ago."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._written.clear()
        self._round()

    def write(self) -> None:
        """Write what is due now. Raises DBAPIError or PoolTimeout; what was not written stays."""
        now = self._monotonic()
        self._written = {key_id: at for key_id, at in self._written.items() if now - at < EACH_KEY_S}
        redigests = list(self._redigests.items())
        for start in range(0, len(redigests), BATCH):
            self._write_redigests(redigests[start : start + BATCH])
        # in one order everywhere: two processes never wait for each other's rows
        due = sorted((key_id, at) for key_id, at in list(self._used.items()) if key_id not in self._written)
        for start in range(0, len(due), BATCH):
            self._write_uses(due[start : start + BATCH], now)

    def _write_redigests(self, batch: list[tuple[tuple[str, bytes], Redigest]]) -> None:
        with self._database.write() as session:
            key_store.write_redigests(session, sorted((redigest for _, redigest in batch), key=lambda each: each.key_id))
        for place, _ in batch:
            self._redigests.pop(place, None)

    def _write_uses(self, batch: list[tuple[str, float]], now: float) -> None:
        with self._database.write() as session:
            key_store.write_last_uses(session, [(key_id, datetime.fromtimestamp(at, UTC)) for key_id, at in batch])
        for key_id, at in batch:
            self._written[key_id] = now
            if self._used.get(key_id) == at:  # else it was used again meanwhile
                self._used.pop(key_id, None)

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            self._round()

    def _round(self) -> None:
        try:
            self.write()
        except Exception as error:  # the thread must outlive whatever it is: what was not written is tried again
            if not self._failing:
                LOGGER.warning(
                    "the last uses of keys cannot be written now (%s)", type(error).__name__, exc_info=not isinstance(error, GONE)
                )
            self._failing = True
        else:
            self._failing = False
