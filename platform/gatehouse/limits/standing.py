"""How much of its month each tenant has used, from memory: read behind, so that no call waits for it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from gatehouse.limits.month import Month, month_of
from gatehouse.limits.quota_refusal import NAME
from gatehouse.limits.standing_store import StandingStore
from gatehouse.principal import Plan, Principal

LOG = logging.getLogger("gatehouse.limits")
WARN_PERCENT = (100, 80)
"""Highest first."""
SHOWN_PERCENT = WARN_PERCENT[-1]
FRESH = timedelta(seconds=5)
"""So old a reading may be while calls come, and so soon after a call its rows have been written down."""


class Standing(NamedTuple):
    """Of a month that is used to 80 % or more."""

    fields: tuple[str, str]
    """What `RateLimit-Policy` and `RateLimit` say of it."""
    over: bool
    """More than the quota has been let in, which only a soft one allows."""


class _Reading(NamedTuple):
    """What the database said."""

    others: int
    """Rows of the month, less those that had been let in here right before."""
    at: datetime


@dataclass(slots=True)
class _Known:
    """`let_in` and `counted_at` are written on the event loop only, `reading` by the thread that reads."""

    tenant: str
    plan: Plan
    month: Month
    counted_at: datetime
    let_in: int = 0
    reading: _Reading | None = None
    """None when nothing is known yet."""

    def is_due(self, now: datetime) -> bool:
        reading = self.reading
        return reading is None or (now - reading.at >= FRESH and reading.at < self.counted_at + FRESH)


class Standings:
    """`refresh` belongs to one thread, all else to the event loop. `now` is an aware clock."""

    def __init__(self, store: StandingStore, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now
        self._known: dict[str, _Known] = {}

    def count(self, principal: Principal, rows: int, left: int | None = None) -> Standing | None:
        """Rows that are let in (fewer than none: that come back); how far the month is used, from 80 % of the quota on.

        `left` is what the quota itself has just said in a refusal, which shows it in any case.
        """
        now, plan = self._now(), principal.plan
        known = self._known.get(principal.tenant_id)
        if known is None or not known.month.holds(now):
            known = self._known[principal.tenant_id] = _Known(principal.tenant, plan, month_of(now), now)
        known.plan, known.counted_at = plan, now
        known.let_in += rows
        quota, reading = plan.rows_per_month, known.reading
        if left is not None:
            used = quota - left
        elif reading is None or (used := reading.others + known.let_in) * 100 < quota * SHOWN_PERCENT:
            return None
        window, wait = (int((known.month.end - start).total_seconds()) for start in (known.month.start, now))
        policy, state = f'"{NAME}";q={quota};qu="rows";w={window}', f'"{NAME}";r={max(0, quota - used)};t={max(1, wait)}'
        return Standing((policy, state), used > quota)

    def refresh(self) -> None:
        """Read what has been metered, and warn once of each share of a quota that has been reached.

        Blocks; raises what a database that is gone raises.
        """
        now = self._now()
        month = month_of(now)
        due = {tenant_id: known for tenant_id, known in list(self._known.items()) if known.month == month and known.is_due(now)}
        if not due:
            return
        let_in = {tenant_id: known.let_in for tenant_id, known in due.items()}
        for tenant_id, (metered, warned) in self._store.standings(list(due), month).items():
            due[tenant_id].reading = _Reading(metered - let_in[tenant_id], now)
            self._warn(tenant_id, due[tenant_id], metered, warned)

    def _warn(self, tenant_id: str, known: _Known, metered: int, warned: int) -> None:
        quota = known.plan.rows_per_month
        reached = next((percent for percent in WARN_PERCENT if metered * 100 >= quota * percent), 0)
        if reached == warned:
            return
        detail = {"percent": reached, "rows": metered, "rows_per_month": quota, "quota": known.plan.quota_mode}
        if self._store.note_share(tenant_id, known.tenant, known.month, reached, detail):
            LOG.warning("quota: %s has used %d %% or more of its %d rows of %s", known.tenant, reached, quota, known.month.name)
