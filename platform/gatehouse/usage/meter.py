"""The meter: turns an ended call into its usage event."""

import logging
import secrets
import time
from collections.abc import Callable

from gatehouse.call import CLIENT_GONE, Call
from gatehouse.errors import UsageUnavailable
from gatehouse.usage.event import UsageEvent, month_name, uuid7
from gatehouse.usage.outcomes import metered_rows, outcome_of
from gatehouse.usage.spool import Spool

LOGGER = logging.getLogger("gatehouse.usage")


class Meter:
    """`now_us` is microseconds since 1970. Belongs to the spool's one writing thread."""

    def __init__(self, spool: Spool, now_us: Callable[[], int] = lambda: time.time_ns() // 1000) -> None:
        self._spool = spool
        self._now_us = now_us

    def ensure_room(self) -> None:
        """Asked before scoring. Raises UsageUnavailable."""
        self._spool.ensure_room()

    def record(self, call: Call) -> None:
        """Write down a call of a principal on a prediction path. Raises UsageUnavailable, and then nothing is written."""
        principal = call.principal
        if principal is None or call.route is None:
            return
        at_us = self._now_us()
        status = call.status or CLIENT_GONE
        self._spool.append(
            UsageEvent(
                id=uuid7(at_us // 1000, secrets.randbits),
                at_us=at_us,
                month=call.month or month_name(at_us),
                process_id=self._spool.process_id,
                tenant_id=principal.tenant_id,
                key_id=principal.key_id,
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
        )

    def record_refused(self, call: Call) -> None:
        """Write down a refused call; where even that fails the refusal goes out all the same, since it owes no rows."""
        if not outcome_of(call.status).event:
            return
        try:
            self.record(call)
        except UsageUnavailable as error:
            LOGGER.error("the refused call %s could not be written down: %s", call.request_id, error.reason)
