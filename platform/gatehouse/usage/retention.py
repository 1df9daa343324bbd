"""Events are kept for a number of days; older ones are sealed, day by day, and taken away in batches."""

import logging
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from sqlmodel import Session

from gatehouse.db.audit import Actor, record_audit
from gatehouse.db.session import Database
from gatehouse.errors import Refused
from gatehouse.usage import ledger_store as ledger
from gatehouse.usage.figures_store import day_number

LOG = logging.getLogger("gatehouse.usage")
BATCH = 5_000
EVERY = timedelta(hours=1)


def utc_now() -> datetime:
    return datetime.now(UTC)


class Retention:
    """`step` belongs to the recorder's thread: one batch at a time, so that it never holds up the drain."""

    def __init__(self, database: Database, keep_days: int, now: Callable[[], datetime] = utc_now, batch: int = BATCH) -> None:
        self._database = database
        self._keep_days = keep_days
        self._now = now
        self._batch = batch
        self._tenants: list[str] = []
        self._next_at = now()

    def step(self) -> bool:
        """Do one batch where one is due; whether there is more to do at once. Raises what a database that is gone raises."""
        now = self._now()
        before = day_number(now.date()) - self._keep_days
        if not self._tenants:
            if now < self._next_at and self._next_at - now <= EVERY:  # else the clock was set back
                return False
            self._next_at = now + EVERY
            with self._database.read() as session:
                self._tenants = ledger.tenants_before(session, before)
        elif not self._prune(self._tenants[-1], before, now):
            self._tenants.pop()
        return bool(self._tenants)

    def _prune(self, tenant_id: str, before: int, now: datetime) -> bool:
        try:
            with self._database.write() as session:
                ledger.remove_refused(session, tenant_id, before)
                return prune(session, tenant_id, before, "retention", now, self._batch) > 0
        except ledger.Unequal as error:
            LOG.error("%s: they stay, whatever their age; gatehouse usage verify says what differs", error)
            return False


def prune(session: Session, tenant_id: str, before: int, reason: str, now: datetime, batch: int) -> int:
    """Seal the tenant's oldest day with events before the day `before`, and take a batch of them away; 0 when there is none.

    Raises Unequal.
    """
    oldest = ledger.oldest_day(session, tenant_id)
    if oldest is None or oldest.day >= before:
        return 0
    ledger.seal(session, oldest, reason, now)
    return ledger.remove_events(session, oldest, batch)


def erase(
    database: Database,
    actor: Actor,
    tenant_id: str,
    tenant: str,
    before: date,
    progress: Callable[[int, int], None],
    batch: int = BATCH,
    *,
    enough: Callable[[], bool] = lambda: False,
) -> int:
    """Take away all events of a tenant before a day, on request; its sums stay and are sealed. Returns how many.

    `progress` is called with events taken away and events in all; `enough`, after each batch, may leave the rest for later.
    Raises Refused.
    """
    now = utc_now()
    check_month(before, now)
    day, erased = day_number(before), 0
    with database.write() as session:
        found = ledger.count_events(session, tenant_id, day)
        record_audit(session, actor, "usage.erase", tenant, {"older_than": before.isoformat(), "events": found})
    try:
        while True:
            with database.write() as session:
                removed = prune(session, tenant_id, day, "erasure", now, batch)
            if not removed:
                return erased
            erased += removed
            progress(erased, max(found, erased))
            if enough():
                return erased
    except ledger.Unequal as error:
        fact = f"{error}: nothing of that day was erased"
        raise Refused(f"{fact}; gatehouse usage verify --tenant {tenant} says what differs", fact=fact) from None


def check_month(before: date, now: datetime) -> None:
    """Raises Refused."""
    first = now.date().replace(day=1)
    if before > first:
        fact = f"events since {first} stay until the month is over, because its quota is counted by them; erase before {first}"
        raise Refused(fact, member="before")
