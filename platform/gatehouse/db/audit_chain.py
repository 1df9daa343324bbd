"""The chain of the audit trail: each row is sealed together with the seal of the row before (docs/adr/0026)."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, text, update
from sqlmodel import Session, col, func, select

from gatehouse.db.audit import Actor, AuditFacts, taken_facts
from gatehouse.db.audit_keys import AuditKeys
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


@dataclass(frozen=True, slots=True)
class Head:
    """The newest row: its number (0: there is none) and its seal."""

    sequence: int
    mac: str
    changed_at: datetime | None = None

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
    """Where the chain stands; at its beginning where somebody has removed the row that says so."""
    row = session.exec(select(AuditHeadTable).where(AuditHeadTable.id == 1)).first()
    return Head(0, FIRST_MAC) if row is None else Head(row.sequence, row.mac, row.changed_at)


def chain_pending(session: Session, keys: AuditKeys | None) -> None:
    """Write what the transaction has recorded, at its very end: whoever holds the head waits for nothing. Raises AuditKeyMissing."""
    facts = taken_facts(session)
    if not facts:
        return
    if keys is None:
        raise AuditKeyMissing("this database was opened without the keys of the audit trail: open_database(url, AuditKeys(…))")
    head = _held_head(session)
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


def _held_head(session: Session) -> Head:
    row = session.exec(select(AuditHeadTable).where(AuditHeadTable.id == 1).with_for_update()).one()
    return Head(row.sequence, row.mac)


def _begin(session: Session) -> AuditFacts | None:
    """The first row of a chain that comes to rows without one."""
    old = select(AuditTable).where(col(AuditTable.sequence).is_(None)).order_by(col(AuditTable.id))
    count, digest = digest_of_old(session.exec(old.execution_options(yield_per=1000)))
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
    if isinstance(stored, datetime):
        return stored
    try:
        at = datetime.fromisoformat(stored)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return _NO_MOMENT


def _members(facts: AuditFacts) -> tuple[str | None, ...]:
    at = facts.at.astimezone(UTC).isoformat(timespec="microseconds")
    return at, facts.actor, facts.source, facts.request_id, facts.action, facts.subject, facts.detail


def _spelled(*members: object) -> bytes:
    """A JSON array in ASCII: no two rows are spelled alike."""
    return _SPELLING.encode(members).encode("ascii")
