"""Load on the rates of a deployment: processes that ask three times as much as tenants are allowed, and say what was let in."""

import asyncio
import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.context import SpawnContext
from random import Random
from typing import Literal

from spans import Admitted, over

from gatehouse.limits.deployment_rates import DeploymentRates
from gatehouse.limits.rate import Decision, RateLimit
from gatehouse.limits.redis_lines import RedisLines
from gatehouse.limits.redis_rates import SCRIPT, RedisRates

Routing = Literal["even", "sticky", "skewed"]
ROUTINGS: tuple[Routing, ...] = ("even", "sticky", "skewed")
TENANTS, KEYS = 20, 5
SECOND = 1_000_000
PER_SECOND = 25
TIMES = 3
CALLERS = 5
"""In each process."""
START_S = 60.0
"""In which all processes must have started."""
TENANT_LIMITS = [
    RateLimit(f"tenant:t{n}:requests", "tenant-requests", "tenant", "requests", PER_SECOND, SECOND, 10) for n in range(TENANTS)
]
KEY_LIMITS = [
    [RateLimit(f"key:t{n}k{key}:requests", "key-requests", "key", "requests", 8, SECOND, 8) for key in range(KEYS)] for n in range(TENANTS)
]
"""Together more than the tenant's, so that the tenant's limit binds."""


@dataclass(frozen=True, slots=True)
class Load:
    """What each process does for `seconds` with each routing."""

    processes: int
    seconds: float
    routings: tuple[Routing, ...]
    redis_url: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One call that was let in."""

    tenant: int
    key: int
    at_us: int
    by_redis: bool


class _Start:
    """Of all processes at once, by the machine's clock, on which all decisions of one machine are made here."""

    def __init__(self, context: SpawnContext) -> None:
        self._ready = context.Semaphore(0)
        self._at_s = context.Value("d", 0.0)

    def give(self, processes: int) -> float:
        """Once all these are ready; returns when they begin."""
        for _ in range(processes):
            assert self._ready.acquire(timeout=START_S)
        self._at_s.value = time.time() + 0.1
        return self._at_s.value

    async def wait(self) -> float:
        """Say that this process is ready; returns when all of them begin."""
        self._ready.release()
        deadline = time.monotonic() + START_S
        while not self._at_s.value:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        return self._at_s.value


def run(load: Load, meanwhile: Callable[[float], None] = lambda _begin_s: None) -> list[Entry]:
    """What all processes let in together; `meanwhile` is told when they begin."""
    context = multiprocessing.get_context("spawn")
    start = _Start(context)
    with ProcessPoolExecutor(load.processes, context, _know, (start,)) as pool:
        running = [pool.submit(_process, load, number) for number in range(load.processes)]
        meanwhile(start.give(load.processes))
        return [entry for one in running for entry in one.result()]


def _know(start: _Start) -> None:
    """A process gets what it shares with the others when it is made, and never later."""
    global _start
    _start = start


def worst(entries: Sequence[Entry]) -> int:
    """By how many calls the worst span of any limit exceeds it."""
    return max(
        *(over(TENANT_LIMITS[n], [Admitted(e.at_us, 1) for e in entries if e.tenant == n]) for n in range(TENANTS)),
        *(
            over(KEY_LIMITS[n][k], [Admitted(e.at_us, 1) for e in entries if (e.tenant, e.key) == (n, k)])
            for n in range(TENANTS)
            for k in range(KEYS)
        ),
    )


def _process(load: Load, number: int) -> list[Entry]:
    return asyncio.run(_load(load, number))


class _Clock:
    """The machine's clock, which Redis has too; remembers what it said last."""

    said = 0

    def __call__(self) -> int:
        self.said = time.time_ns() // 1000
        return self.said


async def _load(load: Load, number: int) -> list[Entry]:
    clock = _Clock()
    redis = RedisRates(RedisLines(load.redis_url, SCRIPT), f"prc_{number}") if load.redis_url else None
    rates = DeploymentRates(clock, lambda: load.processes, redis)
    await rates.attach()
    begin_s = await _start.wait()
    entries: list[Entry] = []
    await asyncio.gather(*(_call(load, begin_s, number, caller, rates, clock, entries) for caller in range(CALLERS)))
    await rates.close()
    return entries


async def _call(
    load: Load,
    begin_s: float,
    number: int,
    caller: int,
    rates: DeploymentRates,
    clock: _Clock,
    entries: list[Entry],
) -> None:
    random = Random(number * CALLERS + caller)
    due = begin_s
    end = begin_s + load.seconds * len(load.routings)
    while due < end:
        await asyncio.sleep(max(0.0, due - time.time()))
        routing = load.routings[min(len(load.routings) - 1, int(max(0.0, due - begin_s) / load.seconds))]
        tenants, per_second = _part(routing, number, load.processes)
        # what is late is not made up for: a machine that is busy would send it all at once
        due = max(due + CALLERS / per_second, time.time() - 0.05)
        tenant, key = random.choice(tenants), random.randrange(KEYS)
        asked = rates.decide([(TENANT_LIMITS[tenant], 1), (KEY_LIMITS[tenant][key], 1)], returnable=True)
        decision = asked if isinstance(asked, Decision) else await asked
        if decision.admitted:
            # answers of Redis that come together may have been decided one after the other
            at_us = int(decision.stored[0].at_us) if decision.stored else clock.said
            entries.append(Entry(tenant, key, at_us, bool(decision.stored)))


def _part(routing: Routing, number: int, processes: int) -> tuple[Sequence[int], float]:
    """The tenants that come to this process, and their calls a second."""
    total = float(TIMES * PER_SECOND * TENANTS)
    if routing == "sticky":
        own = [tenant for tenant in range(TENANTS) if tenant % processes == number]
        return own, total * len(own) / TENANTS
    if routing == "skewed" and processes > 1:
        return range(TENANTS), total * (0.85 if number == 0 else 0.15 / (processes - 1))
    return range(TENANTS), total / processes
