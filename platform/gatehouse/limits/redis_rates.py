"""Rate limits in Redis: all limits of one decision by one script, with the semantics of MemoryRates."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gatehouse.limits.rate import Decision, RateLimit, StoredClaim
from gatehouse.limits.redis_lines import RedisLines, RedisRefused
from gatehouse.limits.shares import never_lets_in

SCRIPT = Path(__file__).with_name("rates.lua").read_text(encoding="utf-8")
LEASE_US = 2_000_000
"""So long after it last was seen by Redis, a process does not use a share of its own."""
EXACT_TICKS = 2**51
"""Twice as many are still a whole number in a double, with room for one more burst."""
TRIES = 4
PREFIX = "{gatehouse}"
"""In braces, so that all keys lie together where Redis is a cluster."""


class RedisRates:
    """The rates of all processes that use one Redis. They hold as much of each limit as the processes are of all that serve."""

    def __init__(self, lines: RedisLines, process_id: str, prefix: str = PREFIX) -> None:
        self._lines = lines
        self._process_id = process_id
        self._prefix = prefix
        self._marks = (f"{prefix}:mark", f"{prefix}:leases")
        self._fraction = "1/1"
        self.decided_at_us = 0
        """When the last decision was made, by Redis's clock."""

    async def time_us(self) -> int:
        """Redis's clock. Raises RedisUnavailable."""
        return await self._lines.time_us()

    async def memory_policy(self) -> str:
        """Redis's `maxmemory_policy`. Raises RedisUnavailable."""
        return await self._lines.memory_policy()

    async def attach(self, until_us: int, processes: int) -> None:
        """Have Redis let in this process's part as well, until then by its clock. Raises RedisUnavailable."""
        _, self._fraction = await self._lines.run(self._marks, "attach", LEASE_US, self._process_id, until_us, processes)

    async def decide(self, asks: Sequence[tuple[RateLimit, int]], *, returnable: bool = False) -> Decision:
        """Let all of it in, or nothing, in one round trip. Raises RedisUnavailable."""
        keys = [*self._marks, *(f"{self._prefix}:{limit.id}" for limit, _ in asks)]
        for _ in range(TRIES):
            part, of = (int(text) for text in self._fraction.split("/"))
            if not part:
                raise RedisRefused("no process is attached")
            parts = [(storable(limit.share(part, of)), amount) for limit, amount in asks]
            refused_by = never_lets_in(asks) or never_lets_in(parts)
            asked = [
                number
                for limit, amount in parts
                for number in (limit.ticks, limit.cost, limit.depth, 0 if refused_by else amount * limit.cost)
            ]
            reply = await self._lines.run(keys, "decide", LEASE_US, self._fraction, *asked)
            self.decided_at_us, self._fraction = int(reply[0]), reply[1]
            if len(reply) > 2:
                return _decision(parts, reply, refused_by, returnable=returnable)
        raise RedisRefused("processes come and go too quickly")

    async def give_back(self, decision: Decision) -> None:
        """Take back what a returnable decision let in, once. Raises RedisUnavailable."""
        claims = decision.stored
        if claims:
            keys = [*self._marks, *(f"{self._prefix}:{claim.limit.id}" for claim in claims)]
            told = [text for claim in claims for text in (claim.limit.ticks, claim.limit.cost, claim.limit.depth, claim.cost, *claim[2:])]
            await self._lines.run(keys, "return", LEASE_US, *told)

    async def remove(self, limits: Sequence[RateLimit]) -> None:
        """Remove what is stored of these limits and of the processes, where they are a test's own. Raises RedisUnavailable."""
        await self._lines.remove([*self._marks, *(f"{self._prefix}:{limit.id}" for limit in limits)])

    async def close(self) -> None:
        """Close the connections."""
        await self._lines.close()


def storable(limit: RateLimit) -> RateLimit:
    """The limit as doubles can hold it: where a burst has too many ticks, one that lets in a little less, by under 1 µs for each unit."""
    if limit.depth <= EXACT_TICKS:
        return limit
    period_us = -(-limit.period_us // limit.count)
    return replace(limit, count=1, period_us=period_us, burst=min(limit.burst, EXACT_TICKS // period_us), whole=limit.whole or limit)


def _decision(asks: Sequence[tuple[RateLimit, int]], reply: Sequence[str], refused_by: RateLimit | None, *, returnable: bool) -> Decision:
    limits = tuple(limit for limit, _ in asks)
    found = [reply[place : place + 3] for place in range(3, len(reply), 3)]
    backlogs = tuple(int(backlog) for backlog, _, _ in found)
    if refused_by is not None:
        return Decision(False, limits, _within(limits, backlogs), refused_by, None)
    if reply[2] != "1":
        waits = [_wait_us(limit, backlog + amount * limit.cost) for (limit, amount), backlog in zip(asks, backlogs, strict=True)]
        longest = max(range(len(waits)), key=waits.__getitem__)
        return Decision(False, limits, _within(limits, backlogs), limits[longest], waits[longest])
    stored: tuple[StoredClaim, ...] = ()
    if returnable:
        stored = tuple(
            StoredClaim(limit, amount * limit.cost, born, number, reply[0], backlog)
            for (limit, amount), (backlog, born, number) in zip(asks, found, strict=True)
            if amount
        )
    return Decision(True, limits, backlogs, stored=stored)


def _wait_us(limit: RateLimit, backlog: int) -> int:
    return max(0, -((limit.depth - backlog) // limit.ticks))


def _within(limits: Sequence[RateLimit], backlogs: Sequence[int]) -> tuple[int, ...]:
    return tuple(min(limit.depth, backlog) for limit, backlog in zip(limits, backlogs, strict=True))
