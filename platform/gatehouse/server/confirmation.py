"""Whether all serving processes have taken in a change: what `--wait` waits for."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from gatehouse.db.clock import database_now
from gatehouse.db.revision import last_revision
from gatehouse.db.session import Database
from gatehouse.server.process import FRESH, fresh
from gatehouse.server.store import Process, list_processes

DEADLINE_S = 10.0
INTERVAL_S = 0.02


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A process that has taken the change in, or has ended meanwhile; milliseconds since the wait began."""

    process: Process
    after_ms: int


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What came of waiting for all processes."""

    revision: int
    confirmed: tuple[Confirmed, ...]
    """In the order in which they confirmed."""
    missing: tuple[Process, ...]
    """Those that serve and have not confirmed before the deadline."""
    silent: tuple[Process, ...]
    """Not seen lately: killed, or cut off from the database and still serving what they remember."""


def wait_for_all(
    database: Database,
    *,
    silent_s: float,
    deadline_s: float = DEADLINE_S,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Confirmation:
    """Wait until every process that serves now has taken in all changes up to now.

    One that starts later reads the new state anyway. `silent_s` is how long one that cannot reach the database goes on.
    """
    begun = monotonic()
    with database.read() as session:
        revision, now = last_revision(session), database_now(session)
        known = list_processes(session)
    pending = {process.id: process for process in fresh(known, now)}
    oldest = now - FRESH - timedelta(seconds=silent_s)
    silent = tuple(process for process in known if process.id not in pending and process.last_seen_at >= oldest)
    confirmed: list[Confirmed] = []
    while True:
        seen = {process.id: process.revision_seen for process in known}
        for process in list(pending.values()):
            if seen.get(process.id, revision) >= revision:  # without a row it has ended
                del pending[process.id]
                confirmed.append(Confirmed(process, round((monotonic() - begun) * 1000)))
        if not pending or monotonic() - begun >= deadline_s:
            return Confirmation(revision, tuple(confirmed), tuple(pending.values()), silent)
        sleep(INTERVAL_S)
        with database.read() as session:
            known = list_processes(session)
