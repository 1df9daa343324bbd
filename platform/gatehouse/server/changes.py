"""Follows the revision: a thread that polls for changes and hands them to the event loop."""

import asyncio
import logging
import threading
from collections.abc import Callable

from gatehouse.db.revision import EVERYTHING, Change, changes_since, last_revision
from gatehouse.db.session import Database

LOGGER = logging.getLogger("gatehouse.changes")
INTERVAL_S = 0.1
"""What was taken away stops within a second: of that, this is what a change waits to be seen; the rest is for a machine under load."""


OnSeen = Callable[[list[Change], int], None]
"""Takes the changes of one poll and the revision that they lead up to."""


class ChangeFollower:
    """Calls `on_seen(changes, revision)` on the event loop after each successful poll, also with no changes.

    It starts from the revision that stood when it was made, so make it before anything that it keeps fresh is read.
    """

    def __init__(self, database: Database, interval_s: float = INTERVAL_S) -> None:
        self._database = database
        self._interval_s = interval_s
        with database.read() as session:
            self.revision = last_revision(session)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._reachable = True

    def start(self, loop: asyncio.AbstractEventLoop, on_seen: OnSeen) -> None:
        """Follow until `stop`."""
        self._thread = threading.Thread(target=self._follow, args=(loop, on_seen), name="changes", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; blocks for at most one poll."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _follow(self, loop: asyncio.AbstractEventLoop, on_seen: OnSeen) -> None:
        while not self._stop.wait(self._interval_s):
            changes = self._poll()
            if changes is None:
                continue
            try:
                loop.call_soon_threadsafe(on_seen, changes, self.revision)
            except RuntimeError:  # the loop has been closed: the server is gone
                break
        self._database.revision_watch.close()

    def _poll(self) -> list[Change] | None:
        try:
            last = self._database.revision_watch.read()
            changes = self._changes(last)
        except Exception as error:  # without this thread no revocation would be seen any more: it must outlive whatever it is
            if self._reachable:
                LOGGER.warning("changes cannot be read; known credentials go on from memory (%s)", type(error).__name__)
            self._reachable = False
            return None
        if not self._reachable:
            LOGGER.warning("changes can be read again")
        self._reachable = True
        if changes == [EVERYTHING]:
            LOGGER.warning("the database is older than what this process has seen; everything is read anew")
            self.revision = last
        elif changes:
            self.revision = changes[-1].revision
        return changes

    def _changes(self, last: int) -> list[Change]:
        if last == self.revision:  # by far the most polls
            return []
        if last < self.revision:
            return [EVERYTHING]
        with self._database.read() as session:
            return changes_since(session, self.revision)
