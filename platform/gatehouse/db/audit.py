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
    """Who does something (`os-user:alice`, a key id) and from where (`cli`, an address)."""

    name: str
    source: str


def record_audit(session: Session, actor: Actor, action: str, subject: str, detail: Mapping[str, Any] | None = None) -> None:
    """Add one row within the caller's transaction, so that no change goes without its trace. `detail` never holds a secret."""
    text = json.dumps(dict(detail or {}), sort_keys=True, separators=(",", ":"))
    session.execute(
        insert(AuditTable).values(at=datetime.now(UTC), actor=actor.name, source=actor.source, action=action, subject=subject, detail=text)
    )
