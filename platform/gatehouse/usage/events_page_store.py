"""Usage events page by page, in the order of tenants and time."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import select, tuple_
from sqlmodel import Session

from gatehouse.usage.figures_store import day_number
from gatehouse.usage.ledger_store import DAY_US
from gatehouse.usage.store import EVENTS

Place = tuple[str, int, str]
"""Tenant's id, microseconds since 1970, event's id."""
LARGEST_US = 2**53
ORDER = (EVENTS.c.tenant_id, EVENTS.c.at_us, EVENTS.c.id)


def page_of_events(
    session: Session, tenant_id: str | None, since: date, until: date, after: Place | None, limit: int
) -> Sequence[Mapping[Any, Any]]:
    """At most so many events behind a place, from `since` to `until` (UTC days, both included), of one tenant or of all."""
    within = [EVENTS.c.at_us >= day_number(since) * DAY_US, EVENTS.c.at_us < (day_number(until) + 1) * DAY_US]
    if tenant_id is not None:
        within.append(EVENTS.c.tenant_id == tenant_id)
    if after is not None:
        within.append(tuple_(*ORDER) > tuple_(*after))
    return session.execute(select(EVENTS).where(*within).order_by(*ORDER).limit(limit)).mappings().all()


def microseconds(step: str) -> int:
    """Of a place. Raises ValueError for what no database takes."""
    number = int(step)
    if not 0 <= number <= LARGEST_US:
        raise ValueError("beyond all events")
    return number
