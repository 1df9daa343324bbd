"""The definition of a rate limit, over all spans of what was let in."""

from collections.abc import Iterable
from dataclasses import dataclass

from gatehouse.limits.rate import RateLimit


@dataclass(frozen=True, slots=True, order=True)
class Admitted:
    """What one decision let in, and when by the clock that decided (µs)."""

    at_us: int
    amount: int


def over(limit: RateLimit, admitted: Iterable[Admitted]) -> int:
    """By how many units the worst span exceeds `burst + count * t / period`, rounded up; 0 when none does. Both ends count."""
    worst = lowest = total = 0
    first = True
    for entry in sorted(admitted):
        # let in up to here, less what the rate has given by now; what a span holds is the difference of two of these
        level = total * limit.period_us - limit.count * entry.at_us
        lowest = level if first else min(lowest, level)
        first = False
        total += entry.amount
        worst = max(worst, total * limit.period_us - limit.count * entry.at_us - lowest)
    return max(0, -(-(worst - limit.burst * limit.period_us) // limit.period_us))
