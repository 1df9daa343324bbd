"""The audit trail: who changed what, when, from where. Rows are only ever added."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert
from sqlmodel import Session

from gatehouse.db.tables import AuditTable


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something (`os-user:alice`, `key:…`, a person's id), from where (`cli`, an address), and in which call."""

    name: str
    source: str
    request_id: str | None = None


def record_audit(
    session: Session,
    actor: Actor,
    action: str,
    subject: str,
    detail: Mapping[str, Any] | None = None,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Add one row within the caller's transaction, so that no change goes without its trace.

    `before` and `after` are what changed, as members of the same names of `detail`. None of them ever holds a secret.
    """
    sides = {name: dict(facts) for name, facts in (("before", before), ("after", after)) if facts is not None}
    text = json.dumps(dict(detail or {}) | sides, sort_keys=True, separators=(",", ":"))
    session.execute(
        insert(AuditTable).values(at=datetime.now(UTC), actor=actor.name, source=actor.source, action=action, subject=subject, detail=text)
    )
