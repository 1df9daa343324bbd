"""The clocks that a process goes by, and the ids that it makes of them."""

import secrets
import time
from datetime import UTC, datetime

from gatehouse.usage.event import uuid7


def utc_now() -> datetime:
    """The clock of quotas and sunsets."""
    return datetime.now(UTC)


def monotonic_us() -> int:
    """The clock of the rate limits."""
    return time.monotonic_ns() // 1000


def new_event_id() -> str:
    """Of a usage event that is settled before there is one."""
    return uuid7(time.time_ns() // 1_000_000, secrets.randbits)
