"""Hard quotas by blocks: rows of a tenant's month are taken ahead from the database and spent from memory."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import NamedTuple, NoReturn

from gatehouse.db.session import GONE
from gatehouse.errors import QuotaExhausted, QuotaUnavailable, RowsExceedLimit
from gatehouse.limits.month import Month, month_of
from gatehouse.limits.store import QuotaStore
from gatehouse.principal import Plan

LOG = logging.getLogger("gatehouse.limits")
BLOCK_LIFE = timedelta(minutes=1)
"""After this time, what is left of a block goes back to the database."""
RETRY_AFTER_S = 1


class Taken(NamedTuple):
    """Rows that one call has taken; given back where the outcome is not metered."""

    tenant_id: str
    month: str
    """`YYYY-MM` (UTC): the month of the call's usage event as well, or the two would disagree at its turn."""
    rows: int
    counted: bool
    """Whether they came from a block; a soft quota takes none."""


@dataclass(slots=True)
class _Held:
    """What this process has of one tenant's month."""

    month: Month
    expires_at: datetime
    rows: int = 0
    recount: bool = True
    """Whether the month may have metered rows that nobody took: unknown at first, or since the quota was soft."""
    gone: bool = False
    """No longer in the book."""
    database: Lock = field(default_factory=Lock)
    """One visit to the database at a time: callers that waited find what the first one brought."""


class QuotaBook:
    """The quotas of one process. Thread-safe.

    `process_id` is unique to this start of the process, `processes` tells how many share the database, `now` is an aware clock.
    """

    def __init__(self, store: QuotaStore, process_id: str, processes: Callable[[], int], now: Callable[[], datetime]) -> None:
        self._store = store
        self._process_id = process_id
        self._processes = processes
        self._now = now
        self._month = month_of(now())
        self._held: dict[str, _Held] = {}
        self._lock = Lock()  # never held while the database is asked

    def try_take(self, tenant_id: str, plan: Plan, rows: int) -> Taken | None:
        """Take rows from memory; None when the database has to be asked (`take`). A soft quota never has to."""
        month = self._this_month()
        with self._lock:
            held = self._held.get(tenant_id)
            if plan.quota_mode == "soft":
                if held is not None:
                    held.recount = True
                return Taken(tenant_id, month.name, rows, counted=False)
            if held is None or held.month is not month or held.rows < rows:
                return None
            held.rows -= rows
        return Taken(tenant_id, month.name, rows, counted=True)

    def take(self, tenant_id: str, plan: Plan, rows: int) -> Taken:
        """Take rows, with a new block where too few are held. Blocks: run it in a thread.

        Raises QuotaExhausted, QuotaUnavailable, or RowsExceedLimit when a whole month has fewer rows.
        """
        if plan.quota_mode == "hard" and rows > plan.rows_per_month:
            raise RowsExceedLimit(
                f"Your plan has {plan.rows_per_month} rows a month. Split the rows over several calls.", reason="quota_smaller_than_call"
            )
        while (taken := self.try_take(tenant_id, plan, rows)) is None:
            held = self._of(tenant_id)
            with held.database:
                # whoever was here before may have brought enough, or the month may have turned
                needed = rows - held.rows
                if needed > 0 and not held.gone:
                    self._fetch(tenant_id, held, plan, rows, needed)
        return taken

    def give_back(self, taken: Taken) -> None:
        """Put the rows of a call that was not metered back into memory."""
        if not taken.counted:
            return
        with self._lock:
            held = self._held.get(taken.tenant_id)
            if held is None and taken.month == self._month.name:
                held = self._hold(taken.tenant_id)
            if held is not None and held.month.name == taken.month:
                held.rows += taken.rows

    def left(self, tenant_id: str, plan: Plan, month: Month | None = None) -> int:
        """Rows of the month that are not metered yet, by the database. Raises QuotaUnavailable."""
        try:
            return max(0, plan.rows_per_month - self._store.metered(tenant_id, month or self._this_month()))
        except GONE as error:
            raise _unavailable() from error

    def return_idle(self) -> None:
        """Return what is left of blocks that are a minute old, so that other processes can have it. Blocks."""
        now = self._now()
        self._return([tenant_id for tenant_id, held in list(self._held.items()) if held.expires_at <= now])

    def close(self) -> None:
        """Return all that is held, once no call is under way. Blocks."""
        self._return(list(self._held))

    def settle(self, process_id: str) -> None:
        """Count what a process that has ended metered, and free the rest. Once its spool has been taken; again does no harm."""
        freed = self._store.settle(process_id)
        if freed:
            LOG.info("quota: %d rows of process %s are free again", freed, process_id)

    def _this_month(self) -> Month:
        now = self._now()
        if not self._month.holds(now):
            with self._lock:
                self._month = month_of(now)
                for held in self._held.values():
                    held.gone = True
                self._held.clear()
        return self._month

    def _of(self, tenant_id: str) -> _Held:
        with self._lock:
            return self._held.get(tenant_id) or self._hold(tenant_id)

    def _hold(self, tenant_id: str) -> _Held:
        held = self._held[tenant_id] = _Held(self._month, self._now() + BLOCK_LIFE)
        return held

    def _fetch(self, tenant_id: str, held: _Held, plan: Plan, rows: int, needed: int) -> None:
        now = self._now()
        try:
            block = self._store.take_block(
                self._process_id,
                tenant_id,
                held.month,
                limit=plan.rows_per_month,
                needed=needed,
                shares=4 * max(1, self._processes()),
                expires_at=now + BLOCK_LIFE,
                recount=held.recount,
            )
        except GONE as error:
            raise _unavailable() from error
        held.recount = False
        if not block.rows:
            _exhausted(plan, held.month, block.left + held.rows, rows, now)
        with self._lock:
            held.rows += block.rows
            held.expires_at = now + BLOCK_LIFE

    def _return(self, tenant_ids: list[str]) -> None:
        if not tenant_ids or not self._store.reachable():
            return  # without the database, what is held is all that the tenants have
        for tenant_id in tenant_ids:
            held = self._held.get(tenant_id)
            if held is None:
                continue
            with held.database:
                with self._lock:
                    rows, held.rows, held.gone = held.rows, 0, True
                    if self._held.get(tenant_id) is held:
                        del self._held[tenant_id]
                if rows:
                    self._give_back_to_database(tenant_id, held.month, rows)

    def _give_back_to_database(self, tenant_id: str, month: Month, rows: int) -> None:
        try:
            self._store.give_back(self._process_id, tenant_id, month.name, rows)
        except GONE:
            # they stay counted in this process's block, and are free again when that is settled
            LOG.warning("quota: %d rows could not be returned now; they are when this process's usage is settled", rows)


def _exhausted(plan: Plan, month: Month, left: int, rows: int, now: datetime) -> NoReturn:
    resets_at = f"{month.end:%Y-%m-%dT%H:%M:%SZ}"
    used_up = "is used up" if left <= 0 else f"has {left} rows left and this call has {rows}"
    raise QuotaExhausted(
        f"The monthly quota of {plan.rows_per_month} rows {used_up}. It starts anew at {resets_at}.",
        headers=[("Retry-After", str(max(1, math.ceil((month.end - now).total_seconds()))))],
        members={"quota": {"rows_per_month": plan.rows_per_month, "rows_left": left, "resets_at": resets_at}},
    )


def _unavailable() -> QuotaUnavailable:
    return QuotaUnavailable(headers=[("Retry-After", str(RETRY_AFTER_S))])
