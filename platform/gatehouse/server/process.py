"""This process's row in the database: that it serves, and which change it has taken in."""

import logging
import os
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from sqlmodel import Session

from gatehouse.db.clock import database_now
from gatehouse.db.revision import record_change
from gatehouse.db.session import GONE, Database
from gatehouse.server.store import (
    Process,
    list_processes,
    remove_process,
    remove_processes_unseen_since,
    write_process,
)

LOGGER = logging.getLogger("gatehouse.process")
FRESH = timedelta(seconds=15)
"""A process that has not been seen for longer does not count."""
BEAT_S = 3.0
RETRY_S = 1.0
FORGOTTEN = timedelta(days=2)
"""Longer than the longest GATEHOUSE_STALE_IDENTITY_S: whatever is still alive after that refuses every credential."""
HOST_CHARACTERS = 255


class Beside(Protocol):
    """What else goes into the database with each beat."""

    def write(self, session: Session, now: datetime) -> None:
        """Within the beat's transaction; `now` is the database's clock."""

    def written(self) -> None:
        """The transaction was committed."""


class ProcessRow:
    """Keeps the row in a thread of its own, so that a write that must wait never delays the polling of changes.

    A process that cannot write its row serves all the same.
    """

    def __init__(self, database: Database, id: str, revision: int, beat_s: float = BEAT_S) -> None:
        now = datetime.now(UTC)
        self.id = id
        self._database = database
        self._process = Process(id, socket.gethostname()[:HOST_CHARACTERS], os.getpid(), now, now, revision)
        self._revision = revision
        self._beat_s = beat_s
        self._wake = threading.Event()
        self._joined = self._stopping = False
        self._holds_until = now
        self._written = True
        self._thread: threading.Thread | None = None
        self.live = 1
        """How many processes serve this deployment, this one included, as far as is known."""
        self.says: Callable[[], str | None] = lambda: None
        """What the process says of itself in its row."""
        self.beside: Beside | None = None
        self.on_count: Callable[[int], None] = lambda _live: None
        """Told of each count in the row's own thread, before another process can know that it was counted."""

    def start(self) -> None:
        """Blocks until the row is written or the database is found to be gone; call it before the first call is served."""
        self._beat()
        self._thread = threading.Thread(target=self._keep, name="process", daemon=True)
        self._thread.start()

    def confirm(self, revision: int) -> None:
        """Everything up to this revision has been taken in: nothing older answers from now on. Quick."""
        if revision != self._revision:
            self._revision = revision
            self._wake.set()

    def close(self) -> None:
        """Remove the row, once no call is under way. Blocks."""
        if self._thread is None:
            return
        self._stopping = True
        self._wake.set()
        self._thread.join()
        if self.beside is not None and self._written:
            self._beat()  # the last word of what goes in beside it
        try:
            forget_process(self._database, self.id)
        except GONE as error:
            LOGGER.warning("the row of process %s stays until it is old (%s)", self.id, type(error).__name__)

    def _keep(self) -> None:
        while True:
            self._wake.wait(self._beat_s if self._written else RETRY_S)
            if self._stopping:
                return
            self._wake.clear()
            self._beat()

    def _beat(self) -> None:
        try:
            with self._database.write() as session:
                self._write(session, database_now(session))
        except Exception as error:  # the thread must outlive whatever it is: a process that is not seen is not waited for
            if self._written:
                LOGGER.warning("the row of process %s cannot be written; it serves all the same (%s)", self.id, type(error).__name__)
            self._written = False
        else:
            if not self._written:
                LOGGER.warning("the row of process %s can be written again", self.id)
            self._written = self._joined = True
            if self.beside is not None:
                self.beside.written()

    def _write(self, session: Session, now: datetime) -> None:
        if not self._joined:
            self._process = replace(self._process, started_at=now)
            self._holds_until = now
            remove_processes_unseen_since(session, now - FORGOTTEN)
        elif now - self._process.last_seen_at > FRESH:  # it was cut off or stood still, and so may all others have been
            self._holds_until = now + FRESH
        if not self._joined or self._holds_until == now + FRESH:
            record_change(session, "process", self.id)  # so that all others count anew at once
        self._process = replace(self._process, last_seen_at=now, revision_seen=self._revision, standing=self.says())
        write_process(session, self._process)
        if self.beside is not None:
            self.beside.write(session, now)
        live = len(fresh(list_processes(session), now))
        self.live = max(1, live, self.live if now < self._holds_until else 0)
        self.on_count(self.live)


def forget_process(database: Database, id: str) -> None:
    """Remove the row of a process that has ended, so that all others count anew at once. Raises what a database that is gone raises."""
    with database.write() as session:
        remove_process(session, id)
        record_change(session, "process", id)


def fresh(processes: Sequence[Process], now: datetime) -> list[Process]:
    """Those that count as serving; `now` is the database's time."""
    return [process for process in processes if now - process.last_seen_at <= FRESH]
