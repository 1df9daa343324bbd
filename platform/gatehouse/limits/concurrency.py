"""How many calls are under way at once, in all and per tenant; and who comes next when the process is full."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable

from gatehouse.errors import ClientGone, Overloaded
from gatehouse.fair_queue import FairQueue

LONGEST_RETRY_S = 60
REMEMBERED = 64
"""Places that came free, from whose times the wait is reckoned."""


class Waiting:
    """A call's place in the queue."""

    __slots__ = ("_concurrency", "_ends_at", "granted", "inside", "tenant_id")

    def __init__(self, concurrency: "Concurrency", tenant_id: str, wait_s: float) -> None:
        loop = asyncio.get_running_loop()
        self._concurrency = concurrency
        self._ends_at = loop.time() + wait_s
        self.tenant_id = tenant_id
        self.granted: asyncio.Future[None] = loop.create_future()
        self.inside = False
        """Counted in; whoever has it must `leave` once."""

    async def turn(self) -> None:
        """Returns when the call is counted in. Raises Overloaded or ClientGone, and then it counts nothing."""
        try:
            async with asyncio.timeout_at(self._ends_at):
                await self.granted
        except TimeoutError:
            self.withdraw()
            raise self._concurrency.hopeless(self.tenant_id) from None
        except BaseException:
            self.withdraw()
            raise

    def abandon(self) -> None:
        """The caller has gone."""
        if not self.granted.done():
            self.granted.set_exception(ClientGone())

    def withdraw(self) -> None:
        """Give up the place, be it in the queue or already one inside."""
        if not self.granted.cancel() and not self.granted.cancelled():
            self.granted.exception()  # looked at, also where nobody was waiting for it
        if self.inside:
            self.inside = False
            self._concurrency.leave(self.tenant_id)
        else:
            self._concurrency.forget(self)


class Concurrency:
    """Counts the calls of one process on one thread. Remembers only tenants that have a call here.

    A tenant with `per_tenant` calls, those that wait included, is refused more. When `total` calls are under way, further ones wait: at
    most `waiting`, for at most `wait_s` seconds. Places that come free go to the tenants in turn, so that a hundred calls of one tenant
    hold up the only one of another by one place. Where the queue is full, the tenant with most calls in it loses its newest to a newcomer
    that has fewer.
    """

    def __init__(
        self, total: int, per_tenant: int, *, waiting: int = 0, wait_s: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._total = total
        self._per_tenant = per_tenant
        self._most_waiting = waiting
        self._wait_s = wait_s
        self._clock = clock
        self._inside: dict[str, int] = {}
        self._all_inside = 0
        self._queue: FairQueue[Waiting] = FairQueue()
        """By tenant. While there is anything in it, the process is full."""
        self._freed: deque[float] = deque(maxlen=REMEMBERED + 1)
        """When the process became full, then when each place came free."""

    @property
    def all_inside(self) -> int:
        """Calls under way."""
        return self._all_inside

    @property
    def all_waiting(self) -> int:
        """Calls in the queue; any thread may ask."""
        return len(self._queue)

    @property
    def inside(self) -> dict[str, int]:
        """Calls under way by tenant."""
        return dict(self._inside)

    @property
    def waiting(self) -> dict[str, int]:
        """Calls in the queue by tenant."""
        return self._queue.numbers()

    def enter(self, tenant_id: str) -> Waiting | None:
        """Count a call in (each must `leave` once); or, when the process is full, its place in the queue.

        Raises Overloaded, and then counts nothing.
        """
        of_tenant = self._inside.get(tenant_id, 0) + 1
        if of_tenant > self._per_tenant:
            raise self._tenant_full(of_tenant - 1)
        all_inside = self._all_inside + 1
        if all_inside >= self._total:
            if all_inside > self._total:
                return self._join(tenant_id, of_tenant - 1)
            self._freed.clear()
            self._freed.append(self._clock())
        self._inside[tenant_id], self._all_inside = of_tenant, all_inside
        return None

    def leave(self, tenant_id: str) -> None:
        """Count a call out; its place goes to whoever's turn it is."""
        left = self._inside[tenant_id] - 1
        if left:
            self._inside[tenant_id] = left
        else:
            del self._inside[tenant_id]
        all_inside = self._all_inside
        self._all_inside = all_inside - 1
        if all_inside == self._total:  # or nobody waits
            self._freed.append(self._clock())
            self._let_in()

    def forget(self, waiting: Waiting) -> None:
        """Take a call out of the queue, if it is still there."""
        self._queue.remove(waiting.tenant_id, waiting)

    def hopeless(self, tenant_id: str) -> Overloaded:
        """The refusal of a call that cannot be served in time; says when what is ahead of it now should have been served."""
        seconds = min(LONGEST_RETRY_S, max(1, math.ceil(max(self._expected_s(tenant_id), self._stalled_s()))))
        detail = f"The service has as many calls under way as it takes at once. Send the call again after {seconds} s."
        return Overloaded(detail, reason="process_concurrency", headers=[("Retry-After", str(seconds))])

    def _join(self, tenant_id: str, of_tenant: int) -> Waiting:
        own = self._queue.of(tenant_id)
        if of_tenant + own >= self._per_tenant:
            raise self._tenant_full(of_tenant + own)
        if self._stalled_s() >= self._wait_s or self._expected_s(tenant_id) > self._wait_s or not self._makes_room(own):
            raise self.hopeless(tenant_id)
        waiting = Waiting(self, tenant_id, self._wait_s)
        self._queue.add(tenant_id, waiting)
        return waiting

    def _makes_room(self, own: int) -> bool:
        """Whether the queue has room for one more call of a tenant that has `own` there."""
        if len(self._queue) < self._most_waiting:
            return True
        tenant_id, longest = max(self._queue.numbers().items(), key=lambda each: each[1], default=("", 0))
        if longest <= own + 1:
            return False
        newest = self._queue.drop_newest(tenant_id)
        if not newest.granted.done():
            newest.granted.set_exception(self.hopeless(newest.tenant_id))
        return True

    def _let_in(self) -> None:
        while self._queue and self._all_inside < self._total:
            tenant_id, waiting = self._queue.take()
            if waiting.granted.done():  # refused or gone a moment ago
                continue
            waiting.inside = True
            waiting.granted.set_result(None)
            self._inside[tenant_id] = self._inside.get(tenant_id, 0) + 1
            self._all_inside += 1

    def _stalled_s(self) -> float:
        """For how long no place has come free."""
        return self._clock() - self._freed[-1]

    def _expected_s(self, tenant_id: str) -> float:
        """Until one more call of the tenant would be let in, by how places came free of late; 0 where that is not known."""
        places = len(self._freed) - 1
        if places < 1:
            return 0.0
        own = self._queue.of(tenant_id)
        ahead = own + sum(min(number, own + 1) for tenant, number in self._queue.numbers().items() if tenant != tenant_id)
        return (ahead + 1) * (self._clock() - self._freed[0]) / places

    def _tenant_full(self, calls: int) -> Overloaded:
        detail = f"Your organisation has {calls} calls under way, which is the most at once. Send the call again after 1 s."
        return Overloaded(detail, reason="tenant_concurrency", headers=[("Retry-After", "1")])
