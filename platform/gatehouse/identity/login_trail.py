"""Refused logins in the audit trail: bounded, so that whoever guesses cannot fill the database."""

import time
from collections.abc import Callable
from threading import Lock

from gatehouse.db.audit import Actor, record_audit
from gatehouse.db.session import Database

MOST = 60
"""Rows of one process within WINDOW_S."""
WINDOW_S = 60.0
NOBODY = "nobody"
"""Who it is that could not log in, and the person where the name is nobody's: what was sent as a name may be a password."""


class LoginTrail:
    """Thread-safe. What was not written is counted, and told by the next row."""

    def __init__(self, database: Database, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._monotonic = monotonic
        self._lock = Lock()
        self._since = monotonic()
        self._written = 0
        self._unwritten = 0

    def refused(self, person_id: str | None, reason: str, address: str, request_id: str) -> None:
        """One more, from an address and in a call."""
        unwritten = self._room()
        if unwritten is None:
            return
        detail: dict[str, object] = {"reason": reason}
        if unwritten:
            detail["further_refusals_before"] = unwritten
        with self._database.write() as session:
            record_audit(session, Actor(NOBODY, address, request_id), "person.login_refused", person_id or NOBODY, detail)

    def _room(self) -> int | None:
        """How many were not written since the last row; None where this one is not written either."""
        now = self._monotonic()
        with self._lock:
            if now - self._since >= WINDOW_S:
                self._since, self._written = now, 0
            if self._written >= MOST:
                self._unwritten += 1
                return None
            self._written += 1
            unwritten, self._unwritten = self._unwritten, 0
            return unwritten
