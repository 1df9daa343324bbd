"""The usage events of one call, found by its request id."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlmodel import Session, col

from gatehouse.db.tables import TenantTable
from gatehouse.usage.store import EVENTS

SPANS = (timedelta(hours=1), timedelta(days=1), timedelta(days=8), None)
"""A call that is asked about is mostly a recent one; there is no index of request ids, which each call would pay for."""
MOST = 20


def events_of_request(session: Session, request_id: str, now: datetime) -> Sequence[Mapping[Any, Any]]:
    """Newest first, at most so many: callers may choose request ids, and use one again. Those of the shortest span that has any."""
    for span in SPANS:
        # with its tenants named, the index of tenant and time is used
        within = [EVENTS.c.tenant_id.in_(select(col(TenantTable.id))), EVENTS.c.request_id == request_id]
        if span is not None:
            within.append(EVENTS.c.at_us >= int((now - span).timestamp() * 1_000_000))
        found = session.execute(select(EVENTS).where(*within).order_by(EVENTS.c.at_us.desc()).limit(MOST)).mappings().all()
        if found:
            return found
    return []
