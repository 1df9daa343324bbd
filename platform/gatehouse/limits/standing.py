"""How much of its month each tenant has used, from memory: read behind, so that no call waits for it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

from gatehouse.limits.month import Month, month_of
from gatehouse.limits.standing_store import StandingStore
from gatehouse.principal import Plan, Principal

LOG = logging.getLogger("gatehouse.limits")
WARN_PERCENT = (100, 80)
"""Highest first."""
FRESH = timedelta(seconds=5)
NAME = "tenant-month"
"""Of the quota in `RateLimit` fields and among the limits."""


@dataclass(slots=True)
class _Known:
    """`metered` is by the database, `since` was let in here after it was read."""

    tenant: str
    plan: Plan
    month: Month
    metered: int | None = None
    since: int = 0
    read_at: datetime | None = None
    warned: int = 0

    @property
    def used(self) -> int:
        return (self.metered or 0) + self.since

    def is_due(self, now: datetime) -> bool:
        return self.read_at is None or (self.since > 0 and now - self.read_at >= FRESH)


class Standings:
    """`count` belongs to the event loop, `refresh` to one thread. `now` is an aware clock."""

    def __init__(self, store: StandingStore, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now
        self._known: dict[str, _Known] = {}
        self._lock = Lock()

    def count(self, principal: Principal, rows: int) -> tuple[str, str] | None:
        """Count rows that are let in; from 80 % of the quota on, what `RateLimit-Policy` and `RateLimit` say of it."""
        plan = principal.plan
        known = self._of(principal)
        known.since += rows
        if known.metered is None or known.used * 100 < plan.rows_per_month * WARN_PERCENT[-1]:
            return None
        month, now = known.month, self._now()
        left = max(0, plan.rows_per_month - known.used)
        window, wait = (int((month.end - start).total_seconds()) for start in (month.start, now))
        return f'"{NAME}";q={plan.rows_per_month};qu="rows";w={window}', f'"{NAME}";r={left};t={max(1, wait)}'

    def is_over(self, principal: Principal) -> bool:
        """Whether more than the quota has been let in, which only a soft one allows."""
        known = self._known.get(principal.tenant_id)
        return known is not None and known.metered is not None and known.used > principal.plan.rows_per_month

    def refresh(self) -> None:
        """Read what has been metered, and warn once a month of each share that has been reached.

        Blocks; raises what a database that is gone raises.
        """
        now = self._now()
        due = {tenant_id: known for tenant_id, known in list(self._known.items()) if known.is_due(now)}
        if not due:
            return
        month = month_of(now)
        metered = self._store.metered([tenant_id for tenant_id, known in due.items() if known.month == month], month)
        for tenant_id, rows in metered.items():
            known = due[tenant_id]
            with self._lock:
                known.metered, known.since, known.read_at = rows, 0, now
            self._warn(tenant_id, known)

    def _of(self, principal: Principal) -> _Known:
        known = self._known.get(principal.tenant_id)
        if known is None or not known.month.holds(self._now()):
            known = self._known[principal.tenant_id] = _Known(principal.tenant, principal.plan, month_of(self._now()))
        known.plan = principal.plan
        return known

    def _warn(self, tenant_id: str, known: _Known) -> None:
        quota = known.plan.rows_per_month
        reached = next((percent for percent in WARN_PERCENT if known.used * 100 >= quota * percent), 0)
        if reached <= known.warned:
            return
        detail = {"percent": reached, "rows": known.used, "rows_per_month": quota, "quota": known.plan.quota_mode}
        if self._store.warn_once(tenant_id, known.tenant, known.month, reached, detail):
            LOG.warning("quota: %s has used %d %% of its %d rows of %s", known.tenant, reached, quota, known.month.name)
        known.warned = reached
