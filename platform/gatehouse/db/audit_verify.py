"""Proving the audit trail: every row follows from the one before under a key that the database does not have."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import Row
from sqlmodel import Session, func, select

from gatehouse.db.audit_chain import BEGIN, FIRST_MAC, Head, chained_row, digest_of_old, read_head
from gatehouse.db.audit_keys import AuditKeys
from gatehouse.db.audit_moved import where_from
from gatehouse.db.audit_trail import AS_STORED, AT_ONCE, TRAIL, hold_still, paced

Kind = Literal["changed", "removed", "inserted", "moved", "key", "head"]
MOST_SHOWN = 20
"""Findings that are kept; the others are counted."""


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """What is wrong. `sequence` and `id` name the row where there is one."""

    kind: Kind
    text: str
    sequence: int | None = None
    id: int | None = None


@dataclass(slots=True)
class Verdict:
    """What a verification came to."""

    head: Head
    rows: int = 0
    """Of the chain."""
    old_rows: int = 0
    """From before the chain."""
    findings: list[AuditFinding] = field(default_factory=list)
    further: int = 0
    """Findings that were only counted."""
    fits: set[int] = field(default_factory=set)
    """Versions of the key under which at least one row fits."""

    def add(self, kind: Kind, text: str, row: Row[Any] | None = None, *, sequence: int | None = None) -> None:
        if len(self.findings) == MOST_SHOWN:
            self.further += 1
            return
        place, id = (sequence, None) if row is None else (row.sequence, row.id)
        self.findings.append(AuditFinding(kind, text, place, id))


def verify_trail(
    session: Session,
    keys: AuditKeys,
    seen: Sequence[Head] = (),
    progress: Callable[[int, int], None] = lambda _done, _all: None,
    pause: Callable[[], None] = lambda: None,
) -> Verdict:
    """Hold every row against the one before, the newest against the head, and the heads `seen` in logs against their rows.

    `session` is a fresh one for reading. `progress` is told now and then how many rows of how many are done;
    `pause` is called before every thousand rows that are looked at, whatever for, and ends the verification by what it raises.
    """
    hold_still(session)
    with _any_text(session):
        verdict = Verdict(read_head(session))
        _Walk(session, keys, verdict, progress, pause).walk()
        _check_old(session, verdict, pause)
        for head in seen:
            _check_seen(session, verdict, head)
    return verdict


@contextmanager
def _any_text(session: Session) -> Iterator[None]:
    """Text that is none (SQLite takes any bytes) is read as something else than what was written, rather than not at all."""
    if session.get_bind().dialect.name != "sqlite":
        yield
        return
    connection: Any = session.connection().connection.driver_connection
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    try:
        yield
    finally:
        connection.text_factory = str


class _Walk:
    """Along the chain, the first row first. `before` are the seals that the next row may follow; none: they are not known."""

    def __init__(
        self, session: Session, keys: AuditKeys, verdict: Verdict, progress: Callable[[int, int], None], pause: Callable[[], None]
    ) -> None:
        self.session = session
        self.keys = keys
        self.verdict = verdict
        self.progress = progress
        self.pause = pause
        self.place = 0
        self.before: tuple[str, ...] = (FIRST_MAC,)
        self.last_mac = FIRST_MAC
        self.explained = False

    def walk(self) -> None:
        """Raises nothing: what is wrong becomes findings."""
        number = self.session.execute(select(func.count(TRAIL.c.sequence))).scalar_one()
        for row in self._rows():
            if self.verdict.rows % AT_ONCE == 0:
                self.progress(self.verdict.rows, number)
            self.verdict.rows += 1
            if not isinstance(row.sequence, int) or row.sequence <= self.place:
                self.verdict.add("inserted", f"row id {row.id} was inserted: its place in the chain is another row's, or none", row)
                continue
            self._gap(row.sequence)
            self._step(row)
        self.progress(number, number)
        self._end()

    def _rows(self) -> Iterator[Row[Any]]:
        statement = select(*AS_STORED).where(TRAIL.c.sequence.is_not(None)).order_by(TRAIL.c.sequence, TRAIL.c.id)
        return self._genuine_first(paced(self.session.execute(statement.execution_options(yield_per=AT_ONCE)), self.pause))

    def _genuine_first(self, rows: Iterator[Row[Any]]) -> Iterator[Row[Any]]:
        """Of rows that claim one place, the one that fits comes first."""
        same: list[Row[Any]] = []
        for row in rows:
            if same and row.sequence != same[0].sequence:
                yield from self._sorted(same)
                same = []
            same.append(row)
        yield from self._sorted(same)

    def _sorted(self, rows: list[Row[Any]]) -> list[Row[Any]]:
        return rows if len(rows) < 2 else sorted(rows, key=lambda row: not self._fits(row))

    def _fits(self, row: Row[Any]) -> bool:
        return row.key_version in self.keys and any(chained_row(row).seal(self.keys, mac) == row.mac for mac in self.before)

    def _gap(self, sequence: int) -> None:
        """Rows up to the one of this number are not there."""
        first, last = self.place + 1, sequence - 1
        if first > last:
            return
        those = f"row {first} was removed" if first == last else f"rows {first} to {last} were removed"
        self.verdict.add("removed", f"{those}, or moved elsewhere", sequence=first)
        self.before = ()

    def _step(self, row: Row[Any]) -> None:
        known = self.before
        self.place = row.sequence
        if row.key_version not in self.keys:
            self._unknown_key(row)
            self.before = (row.mac,)
        elif not known or self._fits(row):
            self.verdict.fits.add(row.key_version)
            self.before = (row.mac,)
        else:
            self._misfit(row)
            # the next row follows what stands there, where the row's words were changed; what belongs there, where its seal was
            self.before = (row.mac, *(chained_row(row).seal(self.keys, mac) for mac in known))
        self.last_mac = row.mac

    def _unknown_key(self, row: Row[Any]) -> None:
        remedy = "put it into GATEHOUSE_OTHER_AUDIT_KEYS; where there never was one, the row was changed"
        sealed = f"{named(row)} is sealed under version {row.key_version} of the audit key"
        self.verdict.add("key", f"{sealed}, which is not known: {remedy}", row)

    def _misfit(self, row: Row[Any]) -> None:
        origin = None
        if not self.explained:  # a search through all rows, which the first one is worth
            self.explained = True
            origin = where_from(self.session, self.keys, row, self.pause)
        if origin is not None:
            self.verdict.add("moved", f"{named(row)} was written as row {origin}: rows were swapped or moved", row)
        elif row.sequence > self.verdict.head.sequence:
            self.verdict.add("inserted", f"{named(row)} was inserted behind the newest row that was written", row)
        else:
            self.verdict.add("changed", f"{named(row)} was changed, or put in the place of another", row)

    def _end(self) -> None:
        head, place = self.verdict.head, self.place
        if head.wrong:
            self.verdict.add("head", f"the head of the audit trail {head.wrong}", sequence=place or None)
        elif head.sequence > place:
            first = place + 1
            those = f"row {first}, the newest, was" if first == head.sequence else f"rows {first} to {head.sequence}, the newest, were"
            self.verdict.add("removed", f"{those} removed: the head stands at {head.sequence}", sequence=first)
        elif head.sequence < place:
            text = f"the head stands at {head.sequence}, the newest row at {place}: the head was changed, or rows were inserted"
            self.verdict.add("head", text, sequence=place)
        elif head.mac != self.last_mac:
            self.verdict.add("head", f"the head and row {place}, the newest, do not agree: one of them was changed", sequence=place)


def _check_old(session: Session, verdict: Verdict, pause: Callable[[], None]) -> None:
    """Rows without a place: all that stood when the chain began, unchanged, and none that came later."""
    old = select(*AS_STORED).where(TRAIL.c.sequence.is_(None)).order_by(TRAIL.c.id)
    sealed = _sealed_old(session)
    last = sealed["last_id"] if sealed else 0
    if verdict.head.sequence == 0 and not verdict.rows:
        verdict.old_rows = session.execute(select(func.count()).select_from(old.subquery())).scalar_one()
        return  # nothing seals them yet: the first change does
    within = session.execute(old.where(TRAIL.c.id <= last).execution_options(yield_per=AT_ONCE))
    verdict.old_rows, digest = digest_of_old(paced(within, pause))
    if sealed and verdict.old_rows != sealed["rows"]:
        counts = f"there were {sealed['rows']}, there are {verdict.old_rows}"
        kind: Kind = "removed" if verdict.old_rows < sealed["rows"] else "inserted"
        verdict.add(kind, f"of the rows from before the chain some were {kind}: {counts}")
    elif sealed and digest != sealed["sha256"]:
        verdict.add("changed", f"one or more of the {sealed['rows']} rows from before the chain were changed")
    outside = session.execute(old.where(TRAIL.c.id > last).execution_options(yield_per=AT_ONCE))
    for row in paced(outside, pause):
        verdict.add("inserted", f"row id {row.id} stands outside of the chain: inserted, or written by a server of an older version", row)


def _sealed_old(session: Session) -> dict[str, Any] | None:
    """What the first row of the chain says of the rows before."""
    row = session.execute(select(*AS_STORED).where(TRAIL.c.sequence == 1).order_by(TRAIL.c.id)).first()
    if row is None or row.action != BEGIN:
        return None
    try:
        said = json.loads(row.detail)
        return {"rows": int(said["rows"]), "last_id": int(said["last_id"]), "sha256": str(said["sha256"])}
    except (ValueError, KeyError, TypeError):
        return None  # the walk has found it changed


def _check_seen(session: Session, verdict: Verdict, head: Head) -> None:
    macs = list(session.execute(select(TRAIL.c.mac).where(TRAIL.c.sequence == head.sequence)).scalars())
    if not macs:
        newest = session.execute(select(func.max(TRAIL.c.sequence))).scalar_one() or 0
        text = f"row {head.sequence}, which was the newest when its head was logged, is gone; the newest is row {newest} now"
        verdict.add("removed", text, sequence=newest + 1 if newest < head.sequence else head.sequence)
    elif head.mac not in macs:
        verdict.add("changed", f"row {head.sequence} is not the one whose head was logged", sequence=head.sequence)


def named(row: Row[Any]) -> str:
    """A row of the chain as a person finds it again."""
    return f"row {row.sequence} (id {row.id})"
