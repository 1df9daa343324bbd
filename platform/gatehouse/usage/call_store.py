"""The usage events of one call, found by its request id."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlmodel import Session, col

from gatehouse.db.tables import TenantTable
from gatehouse.usage.store import EVENTS

SPANS = (timedelta(hours=1), timedelta(days=1), timedelta(days=8), None)
"""A call that is asked about is mostly a recent one; there is no index of request ids, which each call would pay for."""
MOST = 20
"""So many are read."""


class FoundEvents(NamedTuple):
    """Newest first, at most so many; and whose the calls are, in the span in which these were found."""

    events: Sequence[Mapping[Any, Any]]
    tenant_ids: Sequence[str]


def events_of_request(session: Session, request_id: str, now: datetime, tenant_id: str | None = None) -> FoundEvents:
    """Callers choose request ids, and use one again: those of the shortest span that has any, of one tenant or of all."""
    for span in SPANS:
        # with its tenants named, the index of tenant and time is used
        whose = EVENTS.c.tenant_id.in_(select(col(TenantTable.id))) if tenant_id is None else EVENTS.c.tenant_id == tenant_id
        within = [whose, EVENTS.c.request_id == request_id]
        if span is not None:
            within.append(EVENTS.c.at_us >= int((now - span).timestamp() * 1_000_000))
        found = session.execute(select(EVENTS).where(*within).order_by(EVENTS.c.at_us.desc()).limit(MOST)).mappings().all()
        if found:
            whole = len(found) < MOST or tenant_id is not None
            others = (
                (event["tenant_id"] for event in found) if whole else session.scalars(select(EVENTS.c.tenant_id).where(*within).distinct())
            )
            return FoundEvents(found, sorted(set(others)))
    return FoundEvents([], [])
