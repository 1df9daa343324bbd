"""A burst at the store of rates: whether it lets in just what a limit of the test's own allows."""

import asyncio
import secrets
from dataclasses import dataclass

from gatehouse.limits.rate import RateLimit
from gatehouse.limits.redis_lines import RedisLines
from gatehouse.limits.redis_rates import LEASE_US, SCRIPT, RedisRates

LIMIT = RateLimit("selftest", "selftest", "tenant", "requests", 200, 1_000_000, 100)
CALLERS = 16
CONNECTIONS = 4
LEAST = 0.97


@dataclass(frozen=True, slots=True)
class Burst:
    """What came of it. The store starts with nothing left, so `allowed` is the rate times the span, by the store's clock."""

    asked: int
    admitted: int
    allowed: int
    span_ms: int

    @property
    def holds(self) -> bool:
        """Not one too many, and at least 97 % of what is allowed."""
        return LEAST * self.allowed <= self.admitted <= self.allowed


async def fire(url: str, seconds: float) -> Burst:
    """Ask for far more than is allowed, from several connections at once. Raises RedisUnavailable or RedisUrlInvalid.

    It works beside the limits of the deployment, under names of its own, and removes what it has stored.
    """
    prefix = f"{{gatehouse-selftest-{secrets.token_hex(6)}}}"
    stores = [RedisRates(RedisLines(url, SCRIPT, most=CALLERS // CONNECTIONS), "selftest", prefix) for _ in range(CONNECTIONS)]
    try:
        begun_us = await stores[0].time_us()
        await stores[0].attach(begun_us + LEASE_US, 1)
        callers = [_ask(stores[number % CONNECTIONS], begun_us, seconds) for number in range(CALLERS)]
        found = await asyncio.gather(*callers)
        await stores[0].remove([LIMIT])
    finally:
        for store in stores:
            await store.close()
    span_us = max(last_us for _, _, last_us in found) - begun_us
    allowed = LIMIT.count * span_us // LIMIT.period_us
    return Burst(sum(asked for asked, _, _ in found), sum(admitted for _, admitted, _ in found), allowed, span_us // 1000)


async def _ask(store: RedisRates, begun_us: int, seconds: float) -> tuple[int, int, int]:
    """How often it asked, how often it was let in, and when last."""
    asked = admitted = 0
    last_us = now_us = begun_us
    while now_us < begun_us + seconds * 1_000_000:
        decision = await store.decide([(LIMIT, 1)])
        now_us = store.decided_at_us
        asked += 1
        if decision.admitted:
            admitted, last_us = admitted + 1, now_us
    return asked, admitted, last_us
