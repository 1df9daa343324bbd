"""When a delivery that failed is tried again: each pause as long as all before it, over three days, with jitter."""

from datetime import datetime, timedelta

FIRST = timedelta(seconds=5)
LONGEST = timedelta(hours=8)
TRIED_FOR = timedelta(days=3)


def next_attempt(started_at: datetime, now: datetime, draw: float) -> datetime | None:
    """About double the time since the first attempt, the last one at the end of three days; None after it.

    `draw` is random, 0 up to 1, and spreads the pause by a quarter to each side.
    """
    elapsed = max(now - started_at, timedelta(0))
    if elapsed >= TRIED_FOR:
        return None
    pause = min(LONGEST, max(FIRST, elapsed)) * (0.75 + draw / 2)
    return min(now + pause, started_at + TRIED_FOR)
