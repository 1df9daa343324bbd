"""The meter: turns an ended call into its usage event, or into one more of a count."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from gatehouse.call import CLIENT_GONE, Call
from gatehouse.errors import UsageUnavailable
from gatehouse.principal import Principal
from gatehouse.random_pool import RandomPool
from gatehouse.usage.event import Entry, UsageEvent, month_name, uuid7
from gatehouse.usage.outcomes import metered_rows, outcome_of
from gatehouse.usage.refused import RefusedCounter, call_later
from gatehouse.usage.rounds import WritingRounds
from gatehouse.usage.spool import Spool
from gatehouse.usage.sync import GroupSync

LOGGER = logging.getLogger("gatehouse.usage")
LIMIT_CHARACTERS = 40


class Meter:
    """`now_us` is microseconds since 1970. Belongs to the spool's one writing thread, the event loop's."""

    def __init__(
        self,
        spool: Spool,
        sync: GroupSync | None = None,
        *,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
        later: Callable[[float, Callable[[], None]], None] = call_later,
    ) -> None:
        self._spool = spool
        self._sync = sync
        self._random = RandomPool()
        self._rounds = WritingRounds(spool)
        self._now_us = now_us
        self.ensure_room = spool.ensure_room
        """Asked before scoring. Raises UsageUnavailable."""
        self._refused = RefusedCounter(self._write_down, later)
        self.unknown: Counter[int] = Counter()
        """Refused calls of nobody in particular, by status, since the start: metrics only."""
        self.lost = 0
        """Refused calls that could not be written down, since the start."""

    def record(self, call: Call) -> Awaitable[None] | None:
        """Write down a call of a principal on a prediction path; returns what must be awaited before it is answered, if anything.

        Both raise UsageUnavailable, and then nothing is written.
        """
        principal = call.principal
        if principal is None or call.route is None:
            return None
        event = self._event(call, principal, call.event_id)
        if self._sync is None and not call.alone:
            return self._rounds.append(event)
        self._spool.append(event)
        return self._sync.wait() if self._sync else None

    def record_for(self, call: Call, waiter: "asyncio.Future[Any]", answer: Any) -> None:
        """Write down a call that somebody waits for already: `waiter` is settled with its answer, then. Raises, or settles it with,
        UsageUnavailable, and then nothing is written.
        """
        principal = call.principal
        if principal is None or call.route is None:
            waiter.set_result(answer)
            return
        event = self._event(call, principal, call.event_id)
        if self._sync is None:
            self._rounds.append_for(event, waiter, answer)
        else:
            self._spool.append(event)
            self._sync.wait_for(waiter, answer)

    def record_refused(self, call: Call) -> None:
        """Write down a refused call, or count it; where even that fails the refusal goes out all the same, since it owes no rows."""
        status = call.status or CLIENT_GONE
        principal = call.principal
        if principal is None:
            self.unknown[status] += 1
            if call.holder is not None and call.holder.key_id:  # a person has none, and calls no model
                self._count(call, call.holder, status)
        elif call.route is None:
            return  # no prediction
        elif outcome_of(status).event:
            self._write_down(self._event(call, principal))
        else:
            self._count(call, principal, status)

    def close(self) -> None:
        """Write down what has been counted so far."""
        self._refused.flush()

    def _count(self, call: Call, principal: Principal, status: int) -> None:
        limit = (call.reason or call.code or "")[:LIMIT_CHARACTERS]
        self._refused.count(self._now_us() // 1_000_000, principal.tenant_id, principal.key_id, status, limit)

    def _event(self, call: Call, principal: Principal, id: str | None = None) -> UsageEvent:
        at_us = self._now_us()
        status = call.status or CLIENT_GONE
        return UsageEvent(  # in its order: so many by name would be put into a dictionary first
            id or uuid7(at_us // 1000, self._random.bits),
            at_us,
            call.month or month_name(at_us),
            self._spool.process_id,
            principal.tenant_id,
            principal.key_id,
            model=call.model,
            api_version=call.api_version,
            model_version=call.model_version,
            engine=call.engine,
            rows=metered_rows(status, call.rows),
            status=status,
            code=call.code,
            latency_us=(time.perf_counter_ns() - call.started_ns) // 1000,
            bytes_in=call.bytes_in,
            bytes_out=call.bytes_out,
            request_id=call.request_id,
        )

    def _write_down(self, entry: Entry) -> None:
        try:
            self._spool.ensure_room()  # what is kept free is for calls that will be answered
            self._spool.append(entry)
            if self._sync:
                self._sync.nudge()
        except UsageUnavailable as error:
            self.lost += 1 if isinstance(entry, UsageEvent) else entry.refused
            if isinstance(entry, UsageEvent):
                LOGGER.error("the refused call %s could not be written down: %s", entry.request_id, error.reason)
