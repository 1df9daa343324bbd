"""What one process holds of the quota of one tenant's month."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from threading import Lock
from typing import NamedTuple

from gatehouse.limits.month import Month

BLOCK_LIFE = timedelta(minutes=1)
"""After this time, what is left of a block goes back to the database."""
BLOCK_FENCE = timedelta(minutes=10)
"""So long after its last visit to the database a process still spends what it holds."""
BLOCK_LEASE = timedelta(hours=1)
"""So long after that visit others may settle the block. What is between the two is for calls under way, clocks that differ, and a
spool that comes back."""
TAKEN_KEPT = 8192


class Taken(NamedTuple):
    """Rows that one call has taken; given back where the outcome is not metered."""

    tenant_id: str
    month: str
    """`YYYY-MM` (UTC): the month of the call's usage event as well, or the two would disagree at its turn."""
    rows: int
    counted: bool
    """Whether they came from a block; those of a soft quota are only counted, behind."""


taken_rows = lru_cache(maxsize=TAKEN_KEPT)(Taken)
"""Most calls of a tenant take the same: one row of the same month."""


class Shortage(NamedTuple):
    """What the database said when too few rows were left."""

    limit: int
    left: int
    """Rows beside those that are held."""
    until: float
    """Believed so long, by the monotonic clock: callers of a spent quota do not reach the database one by one."""


class Recall(NamedTuple):
    """The other processes have been asked for what they hold and do not need. By the monotonic clock."""

    waits_until: float
    look_at: float
    """When the database is asked again."""


@dataclass(slots=True)
class Held:
    """`rows` are spent from memory."""

    month: Month
    return_at: datetime
    fence_at: datetime
    fence_clock: float
    """The fence by the monotonic clock: no clock that is set back makes a block live longer."""
    rows: int = 0
    limit: int | None = None
    """The quota that the rows were taken under; None where they are a failed call's."""
    gone: bool = False
    """No longer in the book."""
    shortage: Shortage | None = None
    recall: Recall | None = None
    refused_until: float = 0.0
    """By the monotonic clock, after a visit found the quota held by a process that does not let go."""
    database: Lock = field(default_factory=Lock)
    """One visit to the database at a time: callers that waited find what the first one brought."""

    def spendable(self, month: Month, limit: int, now: datetime, clock: float) -> bool:
        """Whether the rows can be spent now, under a quota of `limit`."""
        return self.month is month and self.limit == limit and now < self.fence_at and clock < self.fence_clock

    def is_short_of(self, rows: int, limit: int, clock: float) -> bool:
        """Whether the database has just said that there are not so many."""
        short = self.shortage
        return short is not None and short.limit == limit and clock < short.until and rows - self.rows > short.left
