"""The clocks that a process goes by, and the ids that it makes of them."""

import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from gatehouse.usage.event import uuid7

utc_now: Callable[[], datetime] = partial(datetime.now, UTC)
"""The clock of quotas and sunsets; on the road of every call, so without a Python function of its own."""


def monotonic_us() -> int:
    """The clock of the rate limits."""
    return time.monotonic_ns() // 1000


def new_event_id() -> str:
    """Of a usage event that is settled before there is one."""
    return uuid7(time.time_ns() // 1_000_000, secrets.randbits)
