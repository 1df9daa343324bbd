"""The audit trail: who changed what, when, from where. Rows are only ever added."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlmodel import Session

_PENDING = "audit"
"""Where a session keeps what it is to write at its end."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something (`os-user:alice`, `key:…`, `person:…`), from where (`cli`, an address), and in which call."""

    name: str
    source: str
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class AuditFacts:
    """What one row says."""

    at: datetime
    actor: str
    source: str
    request_id: str | None
    action: str
    subject: str
    detail: str
    """A JSON object."""


def record_audit(
    session: Session,
    actor: Actor,
    action: str,
    subject: str,
    detail: Mapping[str, Any] | None = None,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    at: datetime | None = None,
) -> None:
    """Add one row to the caller's transaction, which must be one of Database.write: that writes it right before the commit.

    `before` and `after` are what changed, as members of the same names of `detail`. None of them ever holds a secret.
    `at` is when it happened, where that was before now.
    Raises RuntimeError within a savepoint: the row would stay where the savepoint's changes are rolled back.
    """
    if session.in_nested_transaction():
        raise RuntimeError(f"{action} is recorded within a savepoint, whose end it would not share: record it before or after")
    sides = {name: dict(facts) for name, facts in (("before", before), ("after", after)) if facts is not None}
    text = json.dumps(dict(detail or {}) | sides, sort_keys=True, separators=(",", ":"))
    facts = AuditFacts(at or datetime.now(UTC), actor.name, actor.source, actor.request_id, action, subject, text)
    session.info.setdefault(_PENDING, []).append(facts)


def taken_facts(session: Session) -> list[AuditFacts]:
    """What the session has recorded and not written yet; from now on that is for the caller to write."""
    facts: list[AuditFacts] = session.info.pop(_PENDING, [])
    return facts
