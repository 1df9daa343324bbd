"""The outbox: what tenants are told by webhook, as a row within the caller's transaction, so that nothing is told that did not happen."""

import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session

from gatehouse.db.clock import database_now
from gatehouse.db.tables import NoticeTable


def announce(session: Session, tenant_id: str, kind: str, event: str, threshold: str, data: Mapping[str, Any]) -> bool:
    """Tell a tenant of `kind` (`quota.reached`), once for each event (`2026-11 of 1000`) and threshold (`80`); whether it is new.

    `data` is what the partner reads: public words and JSON values, never a secret. It is sent once the transaction is committed,
    as soon as the tenant has a target, and never where it gets none within three days.
    """
    now = database_now(session)
    table: Table = NoticeTable.__table__  # type: ignore[attr-defined]
    insert = (postgresql if session.get_bind().dialect.name == "postgresql" else sqlite).insert(table)
    values = {
        "id": f"ntc_{secrets.token_hex(12)}",
        "tenant_id": tenant_id,
        "kind": kind,
        "event": event,
        "threshold": threshold,
        "body": notice_body(kind, now, data),
        "created_at": now,
        "due_at": now,
        "attempts": 0,
    }
    once = insert.values(values).on_conflict_do_nothing(index_elements=["tenant_id", "kind", "event", "threshold"])
    return session.execute(once.returning(table.c.id)).first() is not None


def notice_body(kind: str, at: datetime, data: Mapping[str, Any]) -> str:
    """The JSON that is signed and sent, in the form that Standard Webhooks recommends."""
    timestamp = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"type": kind, "timestamp": timestamp, "data": dict(data)}, ensure_ascii=False, separators=(",", ":"))
