"""A tenant's usage taken away on request: its events, and what shadows of its calls came to."""

from collections.abc import Callable
from datetime import date
from typing import NamedTuple

from gatehouse.identity.tenants import named_tenant
from gatehouse.migration.shadow_retention_store import BATCH, remove_shadows
from gatehouse.operating.desk import Desk
from gatehouse.usage.figures_store import day_number
from gatehouse.usage.ledger_store import count_events
from gatehouse.usage.retention import erase


class Erased(NamedTuple):
    """How many events are gone, and how many of those days are still to go."""

    events: int
    left: int


def never() -> bool:
    """Until all of it is done."""
    return False


def erase_usage(desk: Desk, tenant: str, before: date, progress: Callable[[int, int], None], enough: Callable[[], bool] = never) -> Erased:
    """Those before a day, in batches, until it is `enough`. Sums of events by hour and day stay, sealed. Raises Refused, NotKnown."""
    with desk.database.read() as session:
        tenant_id = named_tenant(session, tenant).id
    events = erase(desk.database, desk.actor, tenant_id, tenant, before, progress, enough=enough)
    while _shadows_removed(desk, tenant_id, before):
        pass
    with desk.database.read() as session:
        return Erased(events, count_events(session, tenant_id, day_number(before)))


def _shadows_removed(desk: Desk, tenant_id: str, before: date) -> int:
    """A batch, so that no other change waits for long."""
    with desk.database.write() as session:
        return remove_shadows(session, tenant_id, before, BATCH)
