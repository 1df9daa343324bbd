"""The chain of the audit trail: each row is sealed together with the seal of the row before (docs/adr/0026)."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import String, insert, text, type_coerce, update
from sqlmodel import Session, col, func, select

from gatehouse.db.audit import Actor, AuditFacts, taken_facts
from gatehouse.db.audit_keys import AuditKeys
from gatehouse.db.audit_trail import AS_STORED, TRAIL, hold_still, moment_of
from gatehouse.db.tables import METADATA, AuditHeadTable, AuditTable

FIRST_MAC = "0" * 64
"""Stands before the first row."""
BEGIN = "audit.begin"
"""The row that seals those from before the chain."""
_SPELLING = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), default=repr)
_NO_MOMENT = datetime.min.replace(tzinfo=UTC)
CHAIN = Actor("gatehouse", "audit")


class AuditKeyMissing(Exception):
    """A change was to be audited over a connection that has no key of the audit trail."""


class AuditTrailUnfit(Exception):
    """Nothing can be chained to the audit trail as it stands, so nothing is changed. The message is one line."""


class AuditHeadChanged(AuditTrailUnfit):
    """The head is missing, is no head, or is not the newest row's."""

    def __init__(self) -> None:
        super().__init__("the head of the audit trail is missing or was changed: gatehouse audit verify says what")


class AuditKeyWrong(AuditTrailUnfit):
    """The newest row does not follow from the one before under the key that is set for its version."""

    def __init__(self, name: str, sequence: int) -> None:
        sealed = f"{name} is not the key that row {sequence}, the newest of the audit trail, was sealed with, or that row was changed"
        super().__init__(f"{sealed}: set the key that this database was used with; gatehouse audit verify says what fits")


@dataclass(frozen=True, slots=True)
class Head:
    """The newest row: its number (0: there is none) and its seal."""

    sequence: int
    mac: str
    changed_at: datetime | None = None
    wrong: str | None = None
    """Why this is no head that was read, but the beginning of all chains."""

    def __str__(self) -> str:
        return f"{self.sequence}:{self.mac}"


@dataclass(frozen=True, slots=True)
class ChainedRow:
    """What a row says and where it stands; everything that its seal covers."""

    id: int
    sequence: int
    key_version: int
    facts: AuditFacts

    def seal(self, keys: AuditKeys, before: str) -> str:
        """Its seal behind a row whose seal is `before`. Raises KeyError where the key is not known."""
        return keys.seal(self.key_version, f"{before}\n".encode() + self.content())

    def content(self) -> bytes:
        """The row in one and only one spelling."""
        return _spelled("gatehouse-audit-1", self.id, self.sequence, self.key_version, *_members(self.facts))


def read_head(session: Session) -> Head:
    """Where the chain stands; at its beginning where somebody has removed the row that says so, or made it into something else."""
    return _head_of(session.execute(_HEAD).first())


def prove_newest(session: Session, keys: AuditKeys) -> None:
    """Hold the newest row against the one before, where its version of the key is known. Raises AuditKeyWrong."""
    row = _newest(session)
    if row is None or row.key_version not in keys or not isinstance(row.sequence, int):
        return  # what a verification tells apart; the key cannot be judged by it
    macs = session.execute(select(TRAIL.c.mac).where(TRAIL.c.sequence == row.sequence - 1)).scalars()
    before = [FIRST_MAC] if row.sequence == 1 else [str(mac) for mac in macs]
    if before and not any(chained_row(row).seal(keys, mac) == row.mac for mac in before):
        raise AuditKeyWrong(keys.named(row.key_version), row.sequence)


def check_trail(session: Session, keys: AuditKeys) -> None:
    """Whether the next change could be chained, without holding others up. Raises AuditTrailUnfit."""
    hold_still(session)
    prove_newest(session, keys)
    _check_head(read_head(session), _newest(session))


def chain_pending(session: Session, keys: AuditKeys | None, proved: set[int] | None = None) -> None:
    """Write what the transaction has recorded, at its very end: whoever holds the head waits for nothing.

    `proved` are versions of the key that need no proof any more; more are added. Raises AuditKeyMissing and AuditTrailUnfit.
    """
    facts = taken_facts(session)
    if not facts:
        return
    if keys is None:
        raise AuditKeyMissing("this database was opened without the keys of the audit trail: open_database(url, AuditKeys(…))")
    head = _held_head(session, keys, set() if proved is None else proved)
    if head.sequence == 0 and (begin := _begin(session)):
        facts.insert(0, begin)
    rows = []
    for id, each in zip(_next_ids(session, len(facts)), facts, strict=True):
        row = ChainedRow(id, head.sequence + 1, keys.version, each)
        head = Head(row.sequence, row.seal(keys, head.mac))
        rows.append(_columns(row, head.mac))
    session.execute(insert(METADATA.tables["audit"]), rows)
    session.execute(
        update(AuditHeadTable).where(col(AuditHeadTable.id) == 1).values(sequence=head.sequence, mac=head.mac, changed_at=datetime.now(UTC))
    )


def chained_row(row: Any) -> ChainedRow:
    """A stored row of the chain."""
    return ChainedRow(row.id, row.sequence, row.key_version, facts_of(row))


def digest_of_old(rows: Iterable[Any]) -> tuple[int, str]:
    """How many rows from before the chain there are, and the SHA-256 of all of them, in the order of their ids."""
    count, digest = 0, hashlib.sha256()
    for row in rows:
        count += 1
        digest.update(_spelled(row.id, *_members(facts_of(row))) + b"\n")
    return count, digest.hexdigest()


def facts_of(row: Any) -> AuditFacts:
    """What a stored row says."""
    return AuditFacts(_moment(row.at), row.actor, row.source, row.request_id, row.action, row.subject, row.detail)


_COLUMNS = METADATA.tables["audit_head"].c
_HEAD = select(_COLUMNS.sequence, _COLUMNS.mac, type_coerce(_COLUMNS.changed_at, String).label("changed_at")).where(_COLUMNS.id == 1)
"""Columns rather than an object: SQLite holds whatever somebody has put there."""


def _head_of(row: Any) -> Head:
    if row is None:
        return Head(0, FIRST_MAC, wrong="is missing")
    if not isinstance(row.sequence, int) or not isinstance(row.mac, str):
        return Head(0, FIRST_MAC, wrong="was changed: it is no number and seal of a row")
    return Head(row.sequence, row.mac, moment_of(row.changed_at))


def _held_head(session: Session, keys: AuditKeys, proved: set[int]) -> Head:
    """Locked, and the newest row's. Raises AuditTrailUnfit."""
    head = _head_of(session.execute(_HEAD.with_for_update()).first())
    newest = _newest(session)
    _check_head(head, newest)
    if newest is not None and newest.key_version not in proved:
        prove_newest(session, keys)
        proved.add(newest.key_version)
    return head


def _check_head(head: Head, newest: Any) -> None:
    stands = (0, FIRST_MAC) if newest is None else (newest.sequence, newest.mac)
    if head.wrong or (head.sequence, head.mac) != stands:
        raise AuditHeadChanged


def _newest(session: Session) -> Any:
    """The last row of the chain, if there is one."""
    rows = select(*AS_STORED).where(TRAIL.c.sequence.is_not(None)).order_by(TRAIL.c.sequence.desc()).limit(1)
    return session.execute(rows).first()


def _begin(session: Session) -> AuditFacts | None:
    """The first row of a chain that comes to rows without one."""
    old = select(*AS_STORED).where(TRAIL.c.sequence.is_(None)).order_by(TRAIL.c.id)
    count, digest = digest_of_old(session.execute(old.execution_options(yield_per=1000)))
    if not count:
        return None
    last = session.exec(select(func.max(AuditTable.id)).where(col(AuditTable.sequence).is_(None))).one()
    detail = json.dumps({"rows": count, "last_id": last, "sha256": digest}, sort_keys=True, separators=(",", ":"))
    return AuditFacts(datetime.now(UTC), CHAIN.name, CHAIN.source, None, BEGIN, "audit", detail)


def _next_ids(session: Session, count: int) -> list[int]:
    """Taken before the rows are written, since the seal covers them."""
    if session.get_bind().dialect.name == "postgresql":
        taken = text("SELECT nextval(pg_get_serial_sequence('audit', 'id')) FROM generate_series(1, :count)")
        return [int(id) for id in session.execute(taken, {"count": count}).scalars()]
    last = session.exec(select(func.max(AuditTable.id))).one() or 0  # SQLite has one writer at a time
    return list(range(last + 1, last + 1 + count))


def _columns(row: ChainedRow, mac: str) -> dict[str, object]:
    facts = row.facts
    return {
        "id": row.id,
        "sequence": row.sequence,
        "key_version": row.key_version,
        "mac": mac,
        "at": facts.at,
        "actor": facts.actor,
        "source": facts.source,
        "request_id": facts.request_id,
        "action": facts.action,
        "subject": facts.subject,
        "detail": facts.detail,
    }


def _moment(stored: Any) -> datetime:
    """Also of the text that SQLite holds, which somebody may have made into anything."""
    return moment_of(stored) or _NO_MOMENT


def _members(facts: AuditFacts) -> tuple[str | None, ...]:
    at = facts.at.astimezone(UTC).isoformat(timespec="microseconds")
    return at, facts.actor, facts.source, facts.request_id, facts.action, facts.subject, facts.detail


def _spelled(*members: object) -> bytes:
    """A JSON array in ASCII: no two rows are spelled alike."""
    return _SPELLING.encode(members).encode("ascii")
