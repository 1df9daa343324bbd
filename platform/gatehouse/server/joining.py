"""A process that joins serves only once all others reckon with it, since each takes its share of every limit by their number."""

import logging
import os
import socket
import time
from collections.abc import Callable
from datetime import datetime

from gatehouse.db.clock import database_now
from gatehouse.db.revision import last_revision
from gatehouse.db.session import GONE, Database
from gatehouse.server.process import FRESH, HOST_CHARACTERS, fresh
from gatehouse.server.store import Process, list_processes

LOGGER = logging.getLogger("gatehouse.process")
DEADLINE_S = FRESH.total_seconds() + 5
"""One that ended without a word counts no longer by then, and one that is alive has written its row again."""
ENDED_S = 1.0
"""Time enough for one that only looks ended, since it is in another container of the same name, to see the change."""
INTERVAL_S = 0.03


def wait_until_counted(
    database: Database,
    id: str,
    *,
    deadline_s: float = DEADLINE_S,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Wait until every other process that serves has counted this one, whose row is written; whether all have. Blocks."""
    begun = monotonic()
    since: tuple[datetime, int] | None = None
    while True:
        waited = monotonic() - begun
        try:
            with database.read() as session:
                revision, now, known = last_revision(session), database_now(session), list_processes(session)
            if since is None and any(process.id == id for process in known):
                since = (now, revision)
            others = [process for process in fresh(known, now) if process.id != id]
            pending = [process for process in others if since is None or not _has_counted(process, *since)]
            if since is not None and all(waited >= ENDED_S and _has_ended(process) for process in pending):
                return True
        except GONE:  # nobody can count anybody now
            pass
        if waited >= deadline_s:
            LOGGER.warning("not all processes are known to reckon with process %s; it serves all the same", id)
            return False
        sleep(INTERVAL_S)


def _has_counted(process: Process, moment: datetime, revision: int) -> bool:
    """Whether it wrote its row, which goes with a count of all rows, after that moment or after it saw that revision."""
    return process.revision_seen >= revision or process.last_seen_at > moment


def _has_ended(process: Process) -> bool:
    """Whether it was a process of this machine that is no more."""
    if process.host != socket.gethostname()[:HOST_CHARACTERS]:
        return False
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False
