"""Guessing is slowed by address: failed credentials from one address (IPv6 by its /64 network) are limited."""

import ipaddress
from collections.abc import Callable
from functools import lru_cache
from threading import Lock

from gatehouse.errors import TooManyFailures
from gatehouse.limits.rate import MemoryRates, RateLimit


class FailedCredentials:
    """Thread-safe; `rates` are its own. Good credentials neither count nor reset anything."""

    def __init__(self, rates: MemoryRates, per_minute: int, processes: Callable[[], int] = lambda: 1) -> None:
        self._rates = rates
        self._per_minute = per_minute
        self._processes = processes
        self._lock = Lock()
        self.counted = 0
        """Failures, whoever they came from."""
        self.refused = 0
        """Credentials that were not looked up."""

    def check(self, address: str) -> None:
        """Raises TooManyFailures when no further credential from there is to be looked up now."""
        with self._lock:
            decision = self._rates.decide([(self._limit(address), 0)])
            limit = decision.limits[0]
            wait = decision.backlogs[0] - (limit.depth - limit.cost)
            self.refused += wait > 0
        if wait > 0:
            raise _too_many(-(-wait // limit.ticks))

    def count(self, address: str) -> None:
        """One more failure from there."""
        with self._lock:
            self.counted += 1
            self._rates.decide([(self._limit(address), 1)])

    def fail(self, address: str) -> None:
        """`check` and `count` in one: a credential that is known to be wrong fails once more, if one may. Raises TooManyFailures."""
        with self._lock:
            decision = self._rates.decide([(self._limit(address), 1)])
            if decision.admitted:
                self.counted += 1
                return
            self.refused += 1
        raise _too_many(decision.wait_us or 0)

    def _limit(self, address: str) -> RateLimit:
        return _limit_of(network_of(address), self._per_minute, self._processes())


def _too_many(wait_us: int) -> TooManyFailures:
    return TooManyFailures(headers=[("Retry-After", str(-(-wait_us // 1_000_000)))])


@lru_cache(maxsize=1024)
def _limit_of(network: str, per_minute: int, processes: int) -> RateLimit:
    """Each process takes its share; at least one failure, since without any no good credential would be looked up."""
    period_us, burst = 60_000_000 * processes, max(1, per_minute // processes)
    return RateLimit(f"failures:{network}", "failed-credentials", "key", "requests", per_minute, period_us, burst)


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """The address, or the /64 network of an IPv6 one, since a caller there has all of it; odd texts stay as they are."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False).network_address)
