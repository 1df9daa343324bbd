"""The two decisions of a prediction: one request and a place before the body is read, all its rows and the quota before scoring."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from typing import NamedTuple

from gatehouse.call import Call
from gatehouse.limits.allowance import limits_of
from gatehouse.limits.concurrency import Concurrency, Waiting
from gatehouse.limits.deployment_rates import DeploymentRates
from gatehouse.limits.holding import Taken
from gatehouse.limits.quota import RECALL_POLL_S, QuotaBook
from gatehouse.limits.rate import Decision
from gatehouse.limits.report import numbers, policy_field, refuse, state_template
from gatehouse.limits.watch import Watch, show
from gatehouse.principal import Principal

NOTHING_ASKED = Decision(True, (), ())
"""Where all limits are observed."""


class TakenRows(NamedTuple):
    """The rows of one call, out of every row limit and the quota."""

    call: Call
    principal: Principal
    quota: Taken
    rates: Decision
    fields_before: tuple[str, str] | None
    """The call's rate limit fields without those of the rows."""

    @property
    def month(self) -> str:
        """`YYYY-MM` (UTC) of the quota that they came from."""
        return self.quota.month


class Queued(NamedTuple):
    """A call that waits for Redis, for a place, or for both. Its request is taken first, so that calls over their rate never wait."""

    call: Call
    principal: Principal
    place: Waiting | None
    """None where it has one."""
    decision: Decision | Awaitable[Decision]

    def abandon(self) -> None:
        """The caller has gone."""
        if self.place is not None:
            self.place.abandon()


class Gate:
    """Used on the event loop only; what must ask the database does so in `threads`."""

    def __init__(self, rates: DeploymentRates, concurrency: Concurrency, quota: QuotaBook, threads: Executor, watch: Watch) -> None:
        self._rates = rates
        self._concurrency = concurrency
        self._quota = quota
        self._threads = threads
        self._watch = watch

    def enter(self, call: Call, principal: Principal) -> Queued | None:
        """First decision: a place, and one request out of every request limit. What to await by `turn`, if it takes time.

        Raises RateLimited, LimitShareTooSmall or Overloaded, and then has taken nothing; each entered call must `leave` once.
        """
        place = self._concurrency.enter(principal.tenant_id)
        try:
            limits = limits_of(principal)
            asks = limits.one_request
            decision = self._rates.decide(asks, returnable=place is not None) if asks else NOTHING_ASKED
            if not isinstance(decision, Decision):
                return Queued(call, principal, place, decision)
            _tell(call, decision, limits.requests_told)
        except BaseException:
            self._give_up(principal, place)
            raise
        if limits.observed_requests:
            self._watch.request(principal)
        return None if place is None else Queued(call, principal, place, decision)

    async def turn(self, queued: Queued) -> None:
        """Wait for what is missing. Raises what `enter` does, or ClientGone, and then all that the call had taken is given back."""
        call, principal, place, decision = queued
        if not isinstance(decision, Decision):
            decision = await self._decided(call, principal, place, decision)
        if place is None:
            return
        try:
            await place.turn()
        except BaseException:
            self._return(call, decision, None)
            raise

    def leave(self, principal: Principal) -> None:
        """Give the place back."""
        self._concurrency.leave(principal.tenant_id)

    @asynccontextmanager
    async def place(self, principal: Principal) -> AsyncIterator[None]:
        """A place alone, while the block runs: for a call that is no prediction but as much work. Raises Overloaded or ClientGone."""
        waiting = self._concurrency.enter(principal.tenant_id)
        if waiting is not None:
            await waiting.turn()
        try:
            yield
        finally:
            self._concurrency.leave(principal.tenant_id)

    async def take_rows(self, call: Call, principal: Principal, rows: int, *, metered: bool = True) -> TakenRows:
        """Second decision: rows out of every row limit and the quota, all or nothing; of a call that was metered before, not the quota.

        Raises RateLimited, RowsExceedLimit, LimitShareTooSmall, QuotaExhausted or QuotaUnavailable. Rows that are not metered go back by
        `give_back`.
        """
        fields_before, quota = call.limit_fields, None
        try:
            if metered:
                tenant_id, plan = principal.tenant_id, principal.plan
                quota = self._quota.try_take(tenant_id, plan, rows) or await self._ask_for_quota(principal, rows)
            else:
                quota = self._quota.nothing(principal.tenant_id)
            limits = limits_of(principal)
            asks = limits.one_row if rows == 1 else [(limit, rows) for limit in limits.rows]
            decision = self._rates.decide(asks, returnable=True) if asks else NOTHING_ASKED
            if not isinstance(decision, Decision):
                decision = await decision
            _tell(call, decision, limits.rows_told)
        except BaseException as error:
            if quota is not None:
                self._quota.give_back(quota)
            self._watch.refused(call, principal, error)
            raise
        self._watch.rows(call, principal, rows, metered=quota.rows)
        return TakenRows(call, principal, quota, decision, fields_before)

    async def _ask_for_quota(self, principal: Principal, rows: int) -> Taken:
        loop = asyncio.get_running_loop()
        while True:
            taking = loop.run_in_executor(self._threads, self._quota.take, principal.tenant_id, principal.plan, rows)
            try:
                quota = await asyncio.shield(taking)
            except asyncio.CancelledError:
                taking.add_done_callback(self._put_back)  # the thread goes on, and nobody is left to use what it takes
                raise
            if quota is not None:
                return quota
            await asyncio.sleep(RECALL_POLL_S)  # the other processes give back what they do not need

    def _put_back(self, taking: asyncio.Future[Taken | None]) -> None:
        if taking.cancelled() or taking.exception() is not None:
            return
        quota = taking.result()
        if quota is not None:
            self._quota.give_back(quota)

    def give_back(self, taken: TakenRows) -> None:
        """Return rows that were not answered, and have the answer's fields say so."""
        self._quota.give_back(taken.quota)
        self._return(taken.call, taken.rates, taken.fields_before)
        self._watch.rows_back(taken.call, taken.principal, taken.quota.rows)

    async def _decided(self, call: Call, principal: Principal, place: Waiting | None, decision: Awaitable[Decision]) -> Decision:
        try:
            found = await decision
            _tell(call, found, limits_of(principal).requests_told)
        except BaseException:
            self._give_up(principal, place)
            raise
        self._watch.request(principal)
        return found

    def _give_up(self, principal: Principal, place: Waiting | None) -> None:
        if place is None:
            self._concurrency.leave(principal.tenant_id)
        else:
            place.withdraw()

    def _return(self, call: Call, decision: Decision, fields_before: tuple[str, str] | None) -> None:
        call.limit_fields = fields_before
        left = self._rates.give_back(decision)
        _tell(call, left, (policy_field(left.limits), state_template(left.limits)))


def _tell(call: Call, decision: Decision, told: tuple[str, str]) -> None:
    """Have the answer say what is left. `told` is what the fields say of the limits, or of those that they are shares of.

    Raises RateLimited, RowsExceedLimit or LimitShareTooSmall where the call was not admitted.
    """
    if not decision.limits:
        return
    show(call, told[0], told[1] % numbers(decision))
    if not decision.admitted:
        refuse(decision)
