"""Hard quotas by blocks: rows of a tenant's month are taken ahead from the database and spent from memory."""

import logging
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from threading import Lock

from gatehouse.db.locks import waited_too_long
from gatehouse.db.session import GONE
from gatehouse.errors import RowsExceedLimit
from gatehouse.limits.holding import BLOCK_FENCE, BLOCK_LEASE, BLOCK_LIFE, Held, Recall, Shortage, Taken, taken_rows
from gatehouse.limits.month import Month, month_of
from gatehouse.limits.quota_refusal import exhausted, unavailable
from gatehouse.limits.soft import SoftRows
from gatehouse.limits.store import QuotaStore
from gatehouse.principal import Plan

LOG = logging.getLogger("gatehouse.limits")
SHORTAGE_S = 1.0
RETRY_S = 1.0
"""After another process did not let go of a quota."""
RECALL_S = 1.0
"""So long a call waits for what the other processes do not need."""
RECALL_POLL_S = 0.1
RECALL_EVERY_S = 5.0


class QuotaBook:
    """The quotas of one process. Thread-safe.

    `process_id` is unique to this start of the process, `processes` tells how many share the database, `now` is an aware clock,
    `monotonic` one in seconds.
    """

    def __init__(
        self,
        store: QuotaStore,
        process_id: str,
        processes: Callable[[], int],
        now: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._soft = SoftRows(store, process_id, now)
        self._process_id = process_id
        self._processes = processes
        self._now = now
        self._monotonic = monotonic
        self._month = month_of(now())
        self._held: dict[str, Held] = {}
        self._lock = Lock()  # never held while the database is asked
        self._owns_blocks = False

    @property
    def rows_held(self) -> int:
        """Rows that are held ahead and that no call has taken."""
        with self._lock:
            return sum(held.rows for held in self._held.values())

    def try_take(self, tenant_id: str, plan: Plan, rows: int) -> Taken | None:
        """Take rows from memory; None when the database has to be asked (`take`). A soft quota never has to.

        Raises QuotaExhausted when the database has just said so.
        """
        now = self._now()
        month = self._month if self._month.holds(now) else self._month_at(now)
        if plan.quota_mode == "soft":
            self._soft.add(tenant_id, month.name, rows)
            return taken_rows(tenant_id, month.name, rows, False)
        clock = self._monotonic()
        with self._lock:
            held = self._held.get(tenant_id)
            if held is None:
                return None
            if held.rows < rows or not held.spendable(month, plan.rows_per_month, now, clock):
                if held.is_short_of(rows, plan.rows_per_month, clock) and held.shortage is not None:
                    exhausted(plan, month, held.shortage.left + held.rows, rows, now)
                return None
            held.rows -= rows
        return taken_rows(tenant_id, month.name, rows, True)

    def nothing(self, tenant_id: str) -> Taken:
        """No rows, for a call that was metered before."""
        return Taken(tenant_id, self._month_at(self._now()).name, 0, counted=False)

    def take(self, tenant_id: str, plan: Plan, rows: int) -> Taken | None:
        """Take rows, with a new block where too few are held. Blocks: run it in a thread.

        None when other processes have been asked for what they do not need: ask again after RECALL_POLL_S, which ends after RECALL_S.
        Raises QuotaExhausted, QuotaUnavailable, or RowsExceedLimit when a whole month has fewer rows.
        """
        if plan.quota_mode == "hard" and rows > plan.rows_per_month:
            raise RowsExceedLimit(
                f"Your plan has {plan.rows_per_month} rows a month. Split the rows over several calls.", reason="quota_smaller_than_call"
            )
        while (taken := self.try_take(tenant_id, plan, rows)) is None:
            held = self._of(tenant_id)
            if held.rows and not held.spendable(self._month, plan.rows_per_month, self._now(), self._monotonic()):
                self._exchange(tenant_id)
                continue
            with held.database:
                # whoever was here before may have brought enough, or the month may have turned
                needed = rows - held.rows
                if needed > 0 and not held.gone and not self._fetch(tenant_id, held, plan, rows, needed):
                    return None
        return taken

    def give_back(self, taken: Taken) -> None:
        """Put the rows of a call that was not metered back into memory."""
        if not taken.counted:
            self._soft.add(taken.tenant_id, taken.month, -taken.rows)
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
            return max(0, plan.rows_per_month - self._store.metered(tenant_id, month or self._month_at(self._now())))
        except GONE as error:
            raise unavailable() from error

    def count_soft(self) -> None:
        """Count what soft quotas let in, should they become hard. Blocks; raises what a database that is gone raises."""
        if self._soft.flush():
            self._owns_blocks = True

    def answer_recalls(self) -> None:
        """Return what other processes have asked for: all that no call has taken. Blocks; raises what a database that is gone raises."""
        if not self._owns_blocks:
            return
        for tenant_id, month in self._store.recalled(self._process_id):
            held = self._held.get(tenant_id)
            if held is not None and held.month.name == month:
                with held.database:
                    self._give_back_to_database(tenant_id, held.month, self._emptied(held))
            self._store.answer_recall(self._process_id, tenant_id, month)

    def return_idle(self) -> None:
        """Return what is left of blocks that are a minute old, so that other processes can have it. Blocks."""
        now = self._now()
        self._return([tenant_id for tenant_id, held in list(self._held.items()) if held.return_at <= now])

    def close(self) -> None:
        """Return all that is held, once no call is under way. Blocks."""
        try:
            self.count_soft()
        except GONE:
            LOG.warning("quota: what was let in last is counted when this process's usage is settled")
        self._return(list(self._held))

    def settle(self, process_id: str) -> None:
        """Count what a process that has ended metered, and free the rest. Once its spool has been taken; again does no harm."""
        freed = self._store.settle(process_id)
        if freed:
            LOG.info("quota: %d rows of process %s are free again", freed, process_id)

    def settle_expired(self) -> None:
        """The same for blocks whose owner has gone without its spool being found for as long as a block lives.

        Blocks; raises what a database that is gone raises.
        """
        now = self._now()
        for process_id, freed in self._store.settle_expired(now, self._month_at(now)):
            LOG.warning(
                "quota: %d rows of process %s are free again: it has not been seen for an hour, nor its spool. Rows that it answered and "
                "that never came into the database are not among those counted",
                freed,
                process_id,
            )

    def _month_at(self, now: datetime) -> Month:
        if not self._month.holds(now):
            with self._lock:
                self._month = month_of(now)
                for held in self._held.values():
                    held.gone = True
                self._held.clear()
        return self._month

    def _of(self, tenant_id: str) -> Held:
        with self._lock:
            return self._held.get(tenant_id) or self._hold(tenant_id)

    def _hold(self, tenant_id: str) -> Held:
        now = self._now()
        fence_clock = self._monotonic() + BLOCK_FENCE.total_seconds()
        held = self._held[tenant_id] = Held(self._month, now + BLOCK_LIFE, now + BLOCK_FENCE, fence_clock)
        return held

    def _fetch(self, tenant_id: str, held: Held, plan: Plan, rows: int, needed: int) -> bool:
        """Whether a block came; not while other processes are being asked."""
        now, clock = self._now(), self._monotonic()
        if clock < held.refused_until:
            raise unavailable()
        recall = held.recall
        if recall is not None and clock < recall.look_at:
            return False
        try:
            # before the block is asked for: who has answered by now has returned its rows by then
            self.count_soft()  # the quota may have been soft until now
            waiting = recall is not None and clock < recall.waits_until and self._store.recall_is_open(tenant_id, held.month.name, now)
            block = self._store.take_block(
                self._process_id,
                tenant_id,
                held.month.name,
                limit=plan.rows_per_month,
                needed=needed,
                shares=4 * max(1, self._processes()),
                expires_at=now + BLOCK_LEASE,
            )
            if not block.rows and self._recalls(tenant_id, held, waiting, now, clock):
                return False
        except GONE as error:
            if waited_too_long(error):  # each of those that lined up would wait so long
                held.refused_until = self._monotonic() + RETRY_S
            raise unavailable() from error
        if not block.rows:
            held.shortage = Shortage(plan.rows_per_month, block.left, clock + SHORTAGE_S)
            exhausted(plan, held.month, block.left + held.rows, rows, now)
        self._owns_blocks = True
        with self._lock:
            held.rows += block.rows
            held.limit = plan.rows_per_month
            held.return_at, held.fence_at, held.fence_clock = now + BLOCK_LIFE, now + BLOCK_FENCE, clock + BLOCK_FENCE.total_seconds()
        return True

    def _recalls(self, tenant_id: str, held: Held, waiting: bool, now: datetime, clock: float) -> bool:
        """Whether other processes are being asked for what they do not need; they are, unless they just were."""
        recall = held.recall
        if recall is None or clock >= recall.waits_until + RECALL_EVERY_S:
            waiting = self._store.recall(self._process_id, tenant_id, held.month.name, now)
            recall = Recall(clock + RECALL_S if waiting else clock, clock)
        held.recall = recall._replace(look_at=clock + RECALL_POLL_S) if waiting else recall
        return waiting

    def _exchange(self, tenant_id: str) -> None:
        """Return rows of another plan, or of a block that has come to its fence. Raises QuotaUnavailable."""
        if not self._store.reachable():
            raise unavailable()
        self._return([tenant_id])

    def _return(self, tenant_ids: Iterable[str]) -> None:
        tenant_ids = list(tenant_ids)
        if not tenant_ids or not self._store.reachable():
            return  # without the database, what is held is all that the tenants have
        for tenant_id in tenant_ids:
            held = self._held.get(tenant_id)
            if held is None:
                continue
            with held.database:
                with self._lock:
                    held.gone = True
                    if self._held.get(tenant_id) is held:
                        del self._held[tenant_id]
                self._give_back_to_database(tenant_id, held.month, self._emptied(held))

    def _emptied(self, held: Held) -> int:
        with self._lock:
            rows, held.rows = held.rows, 0
        return rows

    def _give_back_to_database(self, tenant_id: str, month: Month, rows: int) -> None:
        if not rows:
            return
        try:
            self._store.give_back(self._process_id, tenant_id, month.name, rows, self._now())
        except GONE:
            # they stay counted in this process's block, and are free again when that is settled
            LOG.warning("quota: %d rows could not be returned now; they are when this process's usage is settled", rows)
