"""The thread of a serving process that belongs to the audit trail: it logs the chain's head and writes refusals down."""

import logging
import threading
import time

from gatehouse.db.audit_chain import Head, read_head
from gatehouse.db.session import Database
from gatehouse.server.refusal_book import RefusalBook

LOGGER = logging.getLogger("gatehouse.audit")
CLOSE_S = 5.0
INTERVAL_S = 0.4
"""A head is in the log within a second of its move, whoever moved it."""


class AuditDesk:
    """What the log says of the head, an attacker on the database cannot take back."""

    def __init__(self, database: Database, book: RefusalBook, interval_s: float = INTERVAL_S) -> None:
        self._database = database
        self._book = book
        self._interval_s = interval_s
        self._wake = threading.Event()
        self._ended = False
        self._thread: threading.Thread | None = None
        self._reachable = True
        self.head: Head | None = None
        """The one that was logged last."""

    def start(self) -> None:
        """Look and write until `close`."""
        self._book.wake = self._wake.set
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread, write what is left and log the head once more; after everything that may still change something."""
        self._ended = True
        self._book.wake = None
        self._wake.set()
        if self._thread is not None:
            self._thread.join(CLOSE_S)
            if self._thread.is_alive():
                LOGGER.warning("the database hangs: refused admin calls of the last moments are not in the audit trail")
                return
        if not self._book.close():
            return  # the database is away, and would only be waited for once more
        self._look()
        if self.head is not None and self.head.sequence:
            LOGGER.info("audit head %s at the end", self.head)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._ended:
            self._wake.wait(max(0.0, due - time.monotonic()))
            self._wake.clear()
            self._book.write_waiting()
            if time.monotonic() >= due:
                self._look()
                due = time.monotonic() + self._interval_s

    def _look(self) -> None:
        try:
            with self._database.read() as session:
                head = read_head(session)
        except Exception as error:  # whatever it is: without this thread no head would be logged any more
            if self._reachable:
                LOGGER.warning("the head of the audit trail cannot be read (%s)", type(error).__name__)
            self._reachable = False
            return
        self._reachable = True
        moved = self.head is None or (head.sequence, head.mac) != (self.head.sequence, self.head.mac)
        if moved and self.head is not None and head.sequence < self.head.sequence:
            LOGGER.error("the audit trail is shorter than before: its head was %s; gatehouse audit verify --head %s", self.head, self.head)
        if moved:
            self.head = head
            if head.sequence:
                LOGGER.info("audit head %s", head)
