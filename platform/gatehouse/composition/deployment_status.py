"""How a deployment is right now: from its database, for all machines, and what lies in this machine's state folder."""

import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session

from gatehouse.db.clock import database_now
from gatehouse.db.revision import changed_at, last_revision
from gatehouse.metrics.recent_store import Recent, recent_calls
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.store import list_endpoints
from gatehouse.server.process import HOST_CHARACTERS, fresh
from gatehouse.server.standing import Standing, standing_of
from gatehouse.server.store import Process, list_processes
from gatehouse.settings import Settings
from gatehouse.usage.spool_folder import segments

LATE_S = 5.0
"""A change is taken in within a second; a process that is further behind does not read the database."""
MISSED = timedelta(minutes=5)
"""For so long a process that vanished is something wrong; then it was seen to, or there is nothing to see to."""


@dataclass(frozen=True, slots=True)
class ServingProcess:
    """One row of the table of processes."""

    process: Process
    standing: Standing
    serving: bool
    unseen_s: float
    changes_behind: int
    behind_s: float

    @property
    def state(self) -> str:
        """`serving`, `draining`, or `gone` without a word."""
        if not self.serving:
            return "gone"
        return "draining" if self.standing.draining else "serving"


@dataclass(frozen=True, slots=True)
class DeploymentStatus:
    """`calls` are of five minutes. `ended_spools` lie in this machine's spool folder and belong to no serving process."""

    revision: int
    processes: Sequence[ServingProcess]
    endpoints: Sequence[Endpoint]
    calls: Sequence[Recent]
    ended_spools: Sequence[str]

    @property
    def serving(self) -> list[ServingProcess]:
        """Those that count."""
        return [each for each in self.processes if each.serving]

    @property
    def backlog_bytes(self) -> int:
        """Of usage that serving processes have not brought into the database yet."""
        return sum(each.standing.usage_backlog_bytes for each in self.serving)


def read_status(session: Session, settings: Settings) -> DeploymentStatus:
    """In a few statements, however many calls there were. Raises what a database that is gone raises."""
    now, revision, rows = database_now(session), last_revision(session), list_processes(session)
    live = fresh(rows, now)
    processes = [_process(session, row, row in live, revision, now) for row in rows]
    ended = sorted(_spooling(settings) - {row.id for row in live})
    return DeploymentStatus(revision, processes, list_endpoints(session), recent_calls(session, now), ended)


def wrongs(status: DeploymentStatus) -> Iterator[str]:
    """What is wrong, each in one line that says what to do."""
    serving = status.serving
    if not serving:
        yield "nobody serves: gatehouse serve"
    for each in status.processes:
        yield from _wrongs_of(each)
    host = socket.gethostname()[:HOST_CHARACTERS]
    if status.ended_spools and not any(each.process.host == host for each in serving):
        yield f"usage of {len(status.ended_spools)} ended processes waits in this machine's spool folder: start a server here"
    if not any(endpoint.state != "retired" for endpoint in status.endpoints):
        yield "there are no endpoints: gatehouse models publish FILE --sample rows.csv"


def _wrongs_of(each: ServingProcess) -> Iterator[str]:
    name = f"process {each.process.id} on {each.process.host}"
    if not each.serving:
        if each.unseen_s < MISSED.total_seconds():
            yield f"{name} has not been seen for {each.unseen_s:.0f} s: it was killed, or does not reach the database; read its log"
        return
    if each.behind_s > LATE_S:
        yield f"{name} is {each.changes_behind} changes and {each.behind_s:.0f} s behind: revoked keys may still work there; read its log"
    if each.standing.no_room:
        yield f"{name} cannot meter calls and answers 503 ({each.standing.no_room}): gatehouse doctor, on that machine"
    for endpoint, reason in each.standing.not_served.items():
        yield f"{name} could not load what {endpoint} was released to ({reason}): gatehouse doctor, on that machine"


def _process(session: Session, row: Process, serving: bool, revision: int, now: datetime) -> ServingProcess:
    behind = max(0, revision - row.revision_seen)
    since = changed_at(session, row.revision_seen + 1) if behind else None
    behind_s = max(0.0, (now - since).total_seconds()) if since else 0.0
    unseen_s = max(0.0, (now - row.last_seen_at).total_seconds())
    return ServingProcess(row, standing_of(row.standing), serving, unseen_s, behind, behind_s)


def _spooling(settings: Settings) -> set[str]:
    folder = settings.under_state(settings.spool_dir)
    return {segment.process_id for segment in segments(folder)} if folder.is_dir() else set()
