"""The rates of a whole deployment: by Redis while this process is attached to it, by a share of its own otherwise.

Why the total is never exceeded, whichever processes reach Redis: Redis lets in K/N of each limit, where K processes hold a lease of it
and N is the largest number of processes that one of them knows; each process without one lets in 1/N. That is never more than all of
it as long as no process uses both parts. So a process that loses Redis uses its share only once its lease has ended (it holds at most
`LEASE_US` after a moment of Redis's clock that was read before, so a command that is carried out late prolongs nothing), and starts it
with nothing left; and it stops using its share before it asks for a lease. Whenever K/N changes, and whenever Redis was restarted or
replaced, Redis starts with nothing left as well (see rates.lua). That shares add up is said in shares.py.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from gatehouse.limits.rate import Decision, RateLimit
from gatehouse.limits.redis_lines import RedisRefused, RedisUnavailable
from gatehouse.limits.redis_rates import LEASE_US, RedisRates
from gatehouse.limits.shares import ShareRates

LOGGER = logging.getLogger("gatehouse.limits")
BEAT_S = 0.3
DRIFT_US = LEASE_US // 100
"""The clocks of two machines run at the same speed to within a hundredth."""


class Decide(Protocol):
    """Decides on rates, at once or after a while."""

    def __call__(self, asks: Sequence[tuple[RateLimit, int]], *, returnable: bool = False) -> Decision | Awaitable[Decision]: ...


class DeploymentRates:
    """Used on the event loop. `clock_us` is monotonic; `processes` tells how many serve, this one included."""

    def __init__(self, clock_us: Callable[[], int], processes: Callable[[], int], redis: RedisRates | None = None) -> None:
        self._clock_us = clock_us
        self._processes = processes
        self._redis = redis
        self._shares = ShareRates(clock_us, processes())
        self._attached = False
        self._leased_until_us = 0
        self._said = False
        self._keeping: asyncio.Task[None] | None = None
        self._returning: set[asyncio.Task[None]] = set()
        self.decide: Decide = self._decide
        """All of it or nothing: a decision where this process makes it, else one to wait for.

        Without Redis the shares, and while this is the only process their memory itself: each call asks twice. Whatever ends that sets it
        back.
        """

    @property
    def attached(self) -> bool:
        """Whether Redis decides."""
        return self._attached

    def count(self, processes: int) -> None:
        """So many serve from now on. From any thread, before any of them relies on it."""
        self._shares.count(processes)
        self.decide = self._decide

    def give_back(self, decision: Decision) -> Decision:
        """Take back what a returnable decision let in, once; what is left then.

        It reaches Redis a little later. What cannot reach it stays taken: its rate makes up for it.
        """
        if not decision.stored:
            self._shares.give_back(decision)
            return self._shares.decide([(limit.whole or limit, 0) for limit in decision.limits])
        if self._redis is not None and self._attached:
            task = asyncio.get_running_loop().create_task(self._return(self._redis, decision))
            self._returning.add(task)
            task.add_done_callback(self._returning.discard)
        taken = {claim.limit.id: claim.cost for claim in decision.stored}
        pairs = zip(decision.limits, decision.backlogs, strict=True)
        return Decision(True, decision.limits, tuple(max(0, backlog - taken.get(limit.id, 0)) for limit, backlog in pairs))

    async def attach(self) -> None:
        """Ask Redis to decide, and go on asking; before the process is counted by others, and without deciding anything yet."""
        if self._redis is None:
            return
        await self._beat(self._redis)
        if not self._attached:
            LOGGER.warning("Redis cannot be reached: each process takes its share of every limit")
            self._said = True
        await self._check_memory_policy(self._redis)
        self._keeping = asyncio.get_running_loop().create_task(self._keep(self._redis))

    async def join(self) -> None:
        """All others reckon with this process now: where there are some, its share starts with nothing left."""
        if self._redis is None:
            if (processes := self._processes()) > 1:
                self._shares.start_spent()
                LOGGER.warning("each of %d processes takes its share of every limit; GATEHOUSE_REDIS_URL lets them share", processes)
            return
        self._shares.start_spent(self._clock_us() + LEASE_US)  # until then the others' leases may not know of this process
        await self._beat(self._redis)  # so that Redis knows how many there are

    async def close(self) -> None:
        """Ask no more. The lease ends by itself, when the others no longer count this process."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait((self._keeping, *self._returning))
        if self._redis is not None:
            await self._redis.close()

    def _decide(self, asks: Sequence[tuple[RateLimit, int]], *, returnable: bool = False) -> Decision | Awaitable[Decision]:
        if self._attached:
            return self._ask(asks, returnable=returnable)
        self.decide = self._shares.memory.decide  # first: a `count` that comes from now on is either taken in below or undoes this
        try:
            decision = self._shares.decide(asks, returnable=returnable)
        except BaseException:
            self.decide = self._decide
            raise
        if not self._shares.alone:
            self.decide = self._shares.decide  # which takes in whatever `count` says
        return decision

    async def _ask(self, asks: Sequence[tuple[RateLimit, int]], *, returnable: bool) -> Decision:
        if self._redis is not None:
            try:
                return await self._redis.decide(asks, returnable=returnable)
            except RedisUnavailable as error:
                self._detach(error)
        return self._shares.decide(asks, returnable=returnable)

    async def _return(self, redis: RedisRates, decision: Decision) -> None:
        try:
            await redis.give_back(decision)
        except RedisUnavailable as error:
            self._detach(error)

    async def _keep(self, redis: RedisRates) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            try:
                await self._beat(redis)
            except Exception as error:  # the task must outlive whatever it is, or this process would never come back to Redis
                self._detach(error)

    async def _beat(self, redis: RedisRates) -> None:
        try:
            now_us = await redis.time_us()
        except RedisUnavailable as error:
            self._detach(error)
            return
        before, until_before_us = self._attached, self._leased_until_us
        # from here on Redis may count this process, so its share is not used
        self._attached = True
        self.decide = self._decide
        self._leased_until_us = self._clock_us() + LEASE_US + DRIFT_US
        try:
            await redis.attach(now_us + LEASE_US, self._processes())
        except RedisRefused as error:
            if before:
                self._detach(error)
            elif self._attached:
                self._attached, self._leased_until_us = False, until_before_us  # no lease was given: the share goes on as it was
        except RedisUnavailable as error:
            self._detach(error)
        else:
            if self._said and self._attached:
                LOGGER.warning("Redis decides again")
                self._said = False

    def _detach(self, error: Exception) -> None:
        if not self._attached:
            return
        self._attached = False
        self._shares.start_spent(self._leased_until_us)
        if not self._said:
            LOGGER.warning("Redis does not answer: each process takes its share of every limit (%s)", type(error).__name__)
            self._said = True

    async def _check_memory_policy(self, redis: RedisRates) -> None:
        try:
            policy = await redis.memory_policy()
        except RedisUnavailable:
            return
        if policy not in ("", "noeviction"):
            LOGGER.warning("Redis may throw limits away when its memory is full (%s): set its maxmemory-policy to noeviction", policy)
