"""What each limit of a principal has left now."""

from typing import NamedTuple

from gatehouse.limits.allowance import limits_of
from gatehouse.limits.rate import Decision, RateLimit
from gatehouse.limits.watch import Rates
from gatehouse.principal import Principal


class LimitLeft(NamedTuple):
    limit: RateLimit
    """As the plan or the key has it."""
    observed: bool
    left: int
    """What would be let in now: by all processes where Redis decides, else by this one's share."""
    whole_in_s: int
    """Seconds until the burst is whole again, rounded up."""


async def limits_left(rates: Rates, principal: Principal) -> list[LimitLeft]:
    """Of the tenant and of the calling key; takes nothing. On the event loop."""
    limits = limits_of(principal)
    enforced, observed = limits.requests + limits.rows, limits.observed_requests + limits.observed_rows
    decision = rates.decide([(limit, 0) for limit in enforced + observed])
    found = decision if isinstance(decision, Decision) else await decision
    return [
        LimitLeft(limit.whole or limit, place >= len(enforced), left, -(-backlog // (limit.ticks * 1_000_000)))
        for place, (limit, left, backlog) in enumerate(zip(found.limits, found.remaining(), found.backlogs, strict=True))
    ]
