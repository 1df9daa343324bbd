"""What is watched of calls without ever ending one: limits that are observed, and how far the month's quota has been used."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Protocol

from gatehouse.call import Call
from gatehouse.errors import QuotaExhausted, QuotaUnavailable
from gatehouse.limits.allowance import limits_of
from gatehouse.limits.observed import Observed
from gatehouse.limits.quota_refusal import NAME
from gatehouse.limits.rate import Decision, RateLimit
from gatehouse.limits.standing import Standings
from gatehouse.principal import Principal


class Rates(Protocol):
    """Whatever decides on rates, at once or after a while."""

    def decide(self, asks: Sequence[tuple[RateLimit, int]], *, returnable: bool = False) -> Decision | Awaitable[Decision]: ...


class Watch:
    """Used on the event loop; nothing here waits or raises."""

    def __init__(self, rates: Rates, standings: Standings, observed: Observed) -> None:
        self._rates = rates
        self._standings = standings
        self._observed = observed
        self._asking: set[asyncio.Task[None]] = set()
        self.exhausted = 0
        """Calls that a quota refused here."""
        self.unavailable = 0
        """Calls refused because the database could not say what a quota has left."""

    def request(self, principal: Principal) -> None:
        """A call that was let in."""
        self._ask(principal, limits_of(principal).observed_requests, 1, 0)

    def rows(self, call: Call, principal: Principal, rows: int, metered: int) -> None:
        """A call whose rows were let in, and how many of them the quota counts."""
        if principal.plan.rows_mode == "observe":
            self._ask(principal, limits_of(principal).observed_rows, rows, rows)
        standing = self._standings.count(principal, metered)
        if standing is not None:
            show(call, *standing.fields)
            if metered and standing.over and principal.plan.quota_mode == "soft":
                self._observed.count(principal, NAME, metered)

    def rows_back(self, call: Call, principal: Principal, rows: int) -> None:
        """The same rows, where they are not metered."""
        standing = self._standings.count(principal, -rows)
        if standing is not None:
            show(call, *standing.fields)

    def refused(self, call: Call, principal: Principal, error: BaseException) -> None:
        """A call whose rows were not let in."""
        left: int | None = None
        if isinstance(error, QuotaExhausted):
            self.exhausted += 1
            left = error.members["quota"]["rows_left"]
        elif isinstance(error, QuotaUnavailable):
            self.unavailable += 1
        standing = self._standings.count(principal, 0, left)
        if standing is not None:
            show(call, *standing.fields)

    def _ask(self, principal: Principal, limits: Sequence[RateLimit], amount: int, rows: int) -> None:
        for limit in limits:  # each for itself: what one of them would refuse takes nothing from the others
            decision = self._rates.decide([(limit, amount)])
            if isinstance(decision, Decision):
                self._note(principal, decision, rows)
            else:
                task = asyncio.ensure_future(self._note_later(principal, decision, rows))
                self._asking.add(task)
                task.add_done_callback(self._asking.discard)

    async def _note_later(self, principal: Principal, decision: Awaitable[Decision], rows: int) -> None:
        self._note(principal, await decision, rows)

    def _note(self, principal: Principal, decision: Decision, rows: int) -> None:
        if decision.refused_by is not None:
            self._observed.count(principal, decision.refused_by.name, rows)


def show(call: Call, policy: str, state: str) -> None:
    """Have the answer say this too, in `RateLimit-Policy` and `RateLimit`."""
    before = call.limit_fields
    call.limit_fields = (policy, state) if before is None else (f"{before[0]}, {policy}", f"{before[1]}, {state}")
