"""What limits and metering cost a call: one decision of four limits, one append, one event drained; in turns with a plain baseline.

.venv/bin/python scripts/bench/limits_and_usage.py
"""

import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from gatehouse.db.migrate import upgrade
from gatehouse.db.session import open_database
from gatehouse.limits.allowance import limits_of
from gatehouse.limits.quota import QuotaBook
from gatehouse.limits.rate import MemoryRates
from gatehouse.limits.report import numbers
from gatehouse.limits.store import QuotaStore
from gatehouse.principal import Plan, Principal, Rate
from gatehouse.usage.event import UsageEvent, month_name, uuid7
from gatehouse.usage.recorder import Recorder
from gatehouse.usage.spool import Bounds, Spool

ROUNDS = 15
CALLS = 5_000
PLAN = Plan("bench", Rate(10**6, 1, 10**6), Rate(10**8, 1, 10**8), 10**12, "hard", 100_000, 2**26)
NOW = datetime.now(UTC)
BITS = random.Random(1).getrandbits


def event() -> UsageEvent:
    at_us = time.time_ns() // 1000
    return UsageEvent(
        id=uuid7(at_us // 1000, BITS),
        at_us=at_us,
        month=month_name(at_us),
        process_id="bench",
        tenant_id="01J0000000000000000000000A",
        key_id="AbCdEfGhIjKl",
        model="iris",
        api_version="v1",
        model_version="1.0.0",
        engine="onnx",
        rows=1,
        status=200,
        code=None,
        latency_us=312,
        bytes_in=118,
        bytes_out=240,
        request_id="01J0000000000000000000000B",
    )


def steps(folder: Path) -> tuple[dict[str, Callable[[], object]], Spool]:
    """Each thing measured, by name; the baseline is the first."""
    counts: dict[str, int] = {}
    plain = os.open(folder / "plain.ndjson", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    line = {name: getattr(event(), name) for name in UsageEvent.__struct_fields__}
    limits = limits_of(Principal("tenant", "acme", "key", frozenset(), PLAN))
    rates = MemoryRates(lambda: time.monotonic_ns() // 1000)
    four = [(limit, 1) for limit in limits.requests + limits.rows]
    decision = rates.decide(four[:2])
    database = open_database(f"sqlite:///{folder / 'bench.db'}")
    upgrade(database)
    quota = QuotaBook(QuotaStore(database), "bench", lambda: 1, lambda: NOW)
    quota.take("tenant", PLAN, 1)
    spool = Spool.open(folder / "spool", "bench", Bounds(0, max_backlog_bytes=2**40))
    ready = event()

    def baseline() -> None:
        counts["calls"] = counts.get("calls", 0) + 1
        os.write(plain, json.dumps(line).encode() + b"\n")

    named: dict[str, Callable[[], object]] = {
        "baseline: dict update, json.dumps, write": baseline,
        "one decision of 4 limits": lambda: rates.decide(four),
        "RateLimit field of 2 limits": lambda: limits.requests_told[1] % numbers(decision),
        "one row of a hard quota": lambda: quota.try_take("tenant", PLAN, 1),
        "making one event": event,
        "appending one event": lambda: spool.append(ready),
    }
    return named, spool


def measure(named: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Microseconds of each, the median of rounds in turns."""
    taken: dict[str, list[float]] = {name: [] for name in named}
    for _ in range(ROUNDS):
        for name, step in named.items():
            begun = time.perf_counter()
            for _ in range(CALLS):
                step()
            taken[name].append((time.perf_counter() - begun) / CALLS * 1e6)
    return {name: statistics.median(times) for name, times in taken.items()}


def drained(folder: Path) -> float:
    """CPU microseconds of taking one event into SQLite, with its summaries."""
    database = open_database(f"sqlite:///{folder / 'bench.db'}")
    spool = Spool.open(folder / "spool2", "drain", Bounds(0))
    for _ in range(20_000):
        spool.append(event())
    recorder = Recorder(spool, database, lambda _: None)
    begun = time.process_time()
    events = recorder.drain()
    spent = (time.process_time() - begun) / events * 1e6
    recorder.close()
    return spent


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        named, spool = steps(folder)
        results = measure(named)
        spool.release()
        results["draining one event into SQLite (CPU)"] = drained(folder)
    first = next(iter(results.values()))
    for what, microseconds in results.items():
        print(f"{what:42} {microseconds:8.2f} µs  {microseconds / first:5.2f} of the baseline")
    return 0


if __name__ == "__main__":
    sys.exit(main())
