"""Guessing passwords is slowed, by name and by network, so that nobody is kept from logging in for long by somebody else.

A name has MANY failures in all; once they are used up, each network still has one in SPARE_S for that name: whoever guesses from
everywhere makes others wait for at most that long.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from threading import Lock

from gatehouse.errors import Overloaded, TooManyFailures
from gatehouse.limits.failed_credentials import network_of
from gatehouse.limits.rate import Decision, MemoryRates, RateLimit

MINUTE_US = 60_000_000
FEW, MANY = 5, 20
"""Failures of one name at once, from one network and from all; then one a minute."""
SPARE_S = 300
PER_NETWORK = 30
"""Failures a minute from one network, whatever the names."""
MOST = 100_000
"""Limits that one process remembers; each is forgotten once it is whole again."""
UNDER_WAY_US = 1_000_000
"""What is told to wait where only attempts that have not ended are in the way: most of them will not have failed."""
FULL_RETRY_AFTER_S = "60"
FULL = "So many logins fail elsewhere that no further name or network is taken in. Wait for the seconds in Retry-After, then log in again."
DETAIL = "Too many logins have failed. Wait for the seconds in Retry-After, then send the name and password again."


@dataclass(slots=True)
class Attempt:
    """One that is under way. It counts for good where it `failed`."""

    failed: bool = False

    def fail(self) -> None:
        """It has failed, whatever comes after."""
        self.failed = True


class FailedLogins:
    """Thread-safe; `rates` are its own. Each of the `processes` lets its share happen."""

    def __init__(self, rates: MemoryRates, processes: Callable[[], int] = lambda: 1, most: int = MOST) -> None:
        self._rates = rates
        self._most = most
        self._processes = processes
        self._lock = Lock()
        self._under_way: Counter[str] = Counter()
        """Attempts that have not ended, by the id of a limit that they count in."""
        self.counted = 0
        """Failures, whoever they came from."""
        self.refused = 0
        """Attempts that were not made."""

    def attempt(self, name: str, address: str) -> AbstractContextManager["Attempt"]:
        """A login. Raises TooManyFailures when none is to be made now, Overloaded when there is no room to remember that it failed."""
        return self._counted(self._ways(name, network_of(address)))

    def attempt_code(self, address: str) -> AbstractContextManager["Attempt"]:
        """The same for a one-time code, which stands for no name."""
        return self._counted([[self._of_network(network_of(address))]])

    @contextmanager
    def _counted(self, ways: list[list[RateLimit]]) -> Iterator["Attempt"]:
        taken = self._take(ways)  # before it is known how it ends: of many at once, those that waited find the limit reached
        attempt = Attempt()
        try:
            yield attempt
        finally:
            with self._lock:
                self.counted += attempt.failed
                self._end(taken)
                if not attempt.failed:
                    self._rates.give_back(taken)

    def _take(self, ways: list[list[RateLimit]]) -> Decision:
        """One failure out of all limits of the first way that has room."""
        waits = []
        with self._lock:
            for limits in self._with_room(ways):
                decision = self._rates.decide([(limit, 1) for limit in limits], returnable=True)
                if decision.admitted:
                    self._under_way.update(limit.id for limit in decision.limits)
                    return decision
                waits.append(self._wait_us(decision))
            self.refused += 1
        if not waits:
            raise Overloaded(FULL, reason="logins_full", headers=[("Retry-After", FULL_RETRY_AFTER_S)])
        seconds = -(-min(waits) // 1_000_000)
        raise TooManyFailures(DETAIL, reason="logins_failed", headers=[("Retry-After", str(seconds))])

    def _end(self, taken: Decision) -> None:
        for limit in taken.limits:
            self._under_way[limit.id] -= 1
            if not self._under_way[limit.id]:
                del self._under_way[limit.id]

    def _wait_us(self, refused: Decision) -> int:
        """Until the next attempt; a moment only where there would be room but for those that are under way."""
        wait_us = refused.wait_us or 0  # a burst of 1 or more always has an end to its wait
        for limit, backlog in zip(refused.limits, refused.backlogs, strict=True):
            if not limit.left(max(0, backlog - self._under_way[limit.id] * limit.cost)):
                return wait_us
        return min(wait_us, UNDER_WAY_US)

    def _with_room(self, ways: list[list[RateLimit]]) -> list[list[RateLimit]]:
        """Those that may be remembered: all, or once there are too many those whose limits are remembered already."""
        if len(self._rates) >= self._most:
            self._rates.tidy()
        if len(self._rates) < self._most:
            return ways
        return [limits for limits in ways if all(limit.id in self._rates for limit in limits)]

    def _ways(self, name: str, network: str) -> list[list[RateLimit]]:
        pair = [self._of_network(network), self._limit(f"pair {network} {name}", 1, FEW)]
        spare = RateLimit(f"spare {network} {name}", "failed-logins", "key", "requests", 1, SPARE_S * 1_000_000, 1)
        return [[*pair, self._limit(f"name {name}", 1, MANY)], [*pair, spare]]

    def _of_network(self, network: str) -> RateLimit:
        return self._limit(f"network {network}", PER_NETWORK, PER_NETWORK)

    def _limit(self, id: str, per_minute: int, burst: int) -> RateLimit:
        of = self._processes()
        return RateLimit(id, "failed-logins", "key", "requests", per_minute, MINUTE_US * of, max(1, burst // of))
