"""Calls of the last minutes in the database, as each process writes them with its heartbeat: for all machines, whatever is refused too."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Table, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session

from gatehouse.db.tables import RecentCallsTable

TABLE: Table = RecentCallsTable.__table__  # type: ignore[attr-defined]
SLOT_S = 15
SPAN_S = 300
KEPT_S = 2 * SPAN_S
Key = tuple[str, str, int, str]
"""Model, API version, status and error code."""


@dataclass(frozen=True, slots=True)
class Recent:
    """Calls that ended alike; '' stands where they have no endpoint of their caller's, or no error."""

    model: str
    api_version: str
    status: int
    code: str
    calls: int
    rows: int


class RecentCalls:
    """Tells the database what one process has counted since it told it last. `now` is always the database's clock."""

    def __init__(self, process_id: str, totals: Callable[[], dict[Key, tuple[int, int]]]) -> None:
        self._process_id = process_id
        self._totals = totals
        self._told: dict[Key, tuple[int, int]] = {}
        self._telling: dict[Key, tuple[int, int]] = {}
        self._slot = 0

    def write(self, session: Session, now: datetime) -> None:
        """Within a transaction; it counts once `written` says that this was committed."""
        self._telling, slot = self._totals(), slot_of(now)
        rows = []
        for key, (calls, answered) in sorted(self._telling.items()):
            calls_told, rows_told = self._told.get(key, (0, 0))
            if calls > calls_told:
                named = dict(zip(("model", "api_version", "status", "code"), key, strict=True))
                rows.append(
                    {"slot": slot, "process_id": self._process_id, **named, "calls": calls - calls_told, "rows": answered - rows_told}
                )
        if rows:
            _add(session, rows)
        if slot != self._slot:
            session.execute(delete(TABLE).where(TABLE.c.slot < slot - KEPT_S // SLOT_S))
            self._slot = slot

    def written(self) -> None:
        """What was told is in the database."""
        self._told = self._telling


def recent_calls(session: Session, now: datetime) -> list[Recent]:
    """Of all processes, those that have ended too, in the last five minutes and up to 15 s more."""
    groups = (TABLE.c.model, TABLE.c.api_version, TABLE.c.status, TABLE.c.code)
    sums = (func.sum(TABLE.c.calls), func.sum(TABLE.c.rows))
    statement = select(*groups, *sums).where(TABLE.c.slot >= slot_of(now) - SPAN_S // SLOT_S).group_by(*groups).order_by(*groups)
    found = session.execute(statement)
    return [Recent(model, version, status, code, int(calls), int(rows)) for model, version, status, code, calls, rows in found]


def slot_of(now: datetime) -> int:
    """Quarters of a minute since 1970."""
    return int(now.timestamp()) // SLOT_S


def _add(session: Session, rows: list[dict[str, object]]) -> None:
    insert = (postgresql if session.get_bind().dialect.name == "postgresql" else sqlite).insert(TABLE)
    more = {name: TABLE.c[name] + insert.excluded[name] for name in ("calls", "rows")}
    session.execute(insert.on_conflict_do_update(index_elements=list(TABLE.primary_key), set_=more), rows)
