"""The revision: every change of what processes remember is a numbered row, so that each can drop just what changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import insert, update
from sqlmodel import Session, col, select

from gatehouse.db.tables import ChangeTable, RevisionTable

ChangeKind = Literal["tenant", "plan", "grant", "key", "token", "token_key", "person", "endpoint", "process"]


@dataclass(frozen=True, slots=True)
class Change:
    """`id` is a tenant id (tenant, grant), plan name, key id, jti (token), kid (token_key), person or process id, or `MODEL/vN`."""

    revision: int
    kind: str
    id: str


EVERYTHING = Change(0, "everything", "")
"""Stands for all changes at once: the database has been put back to an older state, so nothing remembered can be trusted."""


def record_change(session: Session, kind: ChangeKind, id: str) -> int:
    """Number a change within the caller's transaction.

    The update of the single revision row holds its lock until commit, so revisions become visible in their own order:
    whoever has seen revision n never finds a smaller one later.
    """
    return record_changes(session, kind, [id])


def record_changes(session: Session, kind: ChangeKind, ids: Sequence[str]) -> int:
    """Number many changes at once, one for each id and at least one; returns the last number."""
    count = len(ids)
    statement = (
        update(RevisionTable)
        .where(col(RevisionTable.id) == 1)
        .values(value=col(RevisionTable.value) + count)
        .returning(col(RevisionTable.value))
    )
    last: int = session.execute(statement).scalar_one()
    at = datetime.now(UTC)
    rows = [{"revision": last - count + place, "kind": kind, "id": id, "at": at} for place, id in enumerate(ids, 1)]
    session.execute(insert(ChangeTable), rows)
    return last


def hold_revision(session: Session) -> None:
    """Take the revision's lock at the start of a transaction that decides on what it reads: no other change comes between."""
    session.exec(select(RevisionTable).where(RevisionTable.id == 1).with_for_update()).one()


def last_revision(session: Session) -> int:
    """The number of the last change."""
    return session.exec(select(RevisionTable.value).where(RevisionTable.id == 1)).one()


def changes_since(session: Session, revision: int) -> list[Change]:
    """All changes after `revision`, oldest first."""
    statement = select(ChangeTable).where(col(ChangeTable.revision) > revision).order_by(col(ChangeTable.revision))
    return [Change(row.revision, row.kind, row.id) for row in session.exec(statement)]


def changed_at(session: Session, revision: int) -> datetime | None:
    """When a change was made, by the clock of whoever made it; None where there is none of this number."""
    found: datetime | None = session.exec(select(ChangeTable.at).where(col(ChangeTable.revision) == revision)).first()
    return found
