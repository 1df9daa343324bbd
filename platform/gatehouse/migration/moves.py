"""Who calls which API version, and when a caller has moved from one to its successor."""

from dataclasses import dataclass
from datetime import datetime

MOVED_DAYS = 7
"""What a caller did in so many days says whether it has moved."""
ANSWERED, ENDED = 200, 410
"""Status of calls that were answered, and of those that were told that an endpoint answers no more."""


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls of one key on one API version of a model, in some span; they reached the endpoint, answered or refused."""

    tenant_id: str
    key_id: str
    api_version: str
    calls: int
    """All but those that were told that the endpoint answers no more."""
    answered: int
    gone: int
    """Told that the endpoint answers no more (410), at its end or in a brownout; not among `calls`."""
    last: datetime | None
    """Beginning of the hour, or of the day, of the last of `calls`."""
    last_gone: datetime | None = None
    """The same of those that were told."""


def has_moved(old_calls: int, new_calls: int) -> bool:
    """Of the answered calls of the last 7 days at least one is on the successor, and at most 1 in 100 of both on the old version."""
    return new_calls > 0 and old_calls * 100 <= old_calls + new_calls


def share_moved(old_calls: int, new_calls: int) -> float | None:
    """Share of the calls that are on the successor, from 0 to 1; None without calls."""
    both = old_calls + new_calls
    return new_calls / both if both else None
