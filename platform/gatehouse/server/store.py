"""The rows of serving processes."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import CursorResult, delete, insert, update
from sqlmodel import Session, col, select

from gatehouse.db.tables import ProcessTable


@dataclass(frozen=True, slots=True)
class Process:
    """One serving process. Times are of the database's clock, so that clocks of several machines need not agree."""

    id: str
    host: str
    pid: int
    started_at: datetime
    last_seen_at: datetime
    revision_seen: int
    """The last change that it has taken in."""
    standing: str | None = None
    """What it says of itself; see `standing.py`."""


def list_processes(session: Session) -> list[Process]:
    """All that have a row, oldest first."""
    rows = session.exec(select(ProcessTable).order_by(col(ProcessTable.started_at), col(ProcessTable.id)))
    return [Process(row.id, row.host, row.pid, row.started_at, row.last_seen_at, row.revision_seen, row.standing) for row in rows]


def write_process(session: Session, process: Process) -> None:
    """Write the row, also when somebody has taken it away."""
    values: dict[str, Any] = {"last_seen_at": process.last_seen_at, "revision_seen": process.revision_seen, "standing": process.standing}
    changed: CursorResult[object] = session.execute(  # type: ignore[assignment]
        update(ProcessTable).where(col(ProcessTable.id) == process.id).values(**values)
    )
    if not changed.rowcount:
        more = {"id": process.id, "host": process.host, "pid": process.pid, "started_at": process.started_at}
        session.execute(insert(ProcessTable).values(**values, **more))


def remove_process(session: Session, id: str) -> None:
    session.execute(delete(ProcessTable).where(col(ProcessTable.id) == id))


def remove_processes_unseen_since(session: Session, moment: datetime) -> None:
    """Remove the rows of those that ended without a word."""
    session.execute(delete(ProcessTable).where(col(ProcessTable.last_seen_at) < moment))
