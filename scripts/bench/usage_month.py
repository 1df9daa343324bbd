"""A tenant's month from the summaries against counting its events, with ten million events in SQLite.

.venv/bin/python scripts/bench/usage_month.py [EVENTS]
"""

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

from sqlalchemy import text

from gatehouse.db.migrate import upgrade
from gatehouse.db.session import Database, open_database
from gatehouse.usage.event import UsageEvent, uuid7
from gatehouse.usage.figures_store import By, usage_figures
from gatehouse.usage.store import insert_batch

EVENTS = 10_000_000
BATCH = 50_000
ROUNDS = 9
FIRST_US = 1_793_491_200_000_000
"""2026-11-01 00:00 UTC."""
MONTH_US = 30 * 86_400_000_000
KEYS, MODELS, STATUSES = ("key-1", "key-2", "key-3"), ("iris", "churn"), (200, 200, 200, 200, 422, 503)
TENANTS = {"large": 9, "small": 1}
"""Of ten events, so many are of each."""


def fill(database: Database, count: int) -> None:
    """`count` events, evenly over the month."""
    chance, whose = random.Random(1), [tenant for tenant, share in TENANTS.items() for _ in range(share)]
    step = MONTH_US // count
    for begin in range(0, count, BATCH):
        events = [event(FIRST_US + number * step, whose[number % 10], chance) for number in range(begin, min(begin + BATCH, count))]
        with database.write() as session:
            insert_batch(session, events)


def event(at_us: int, tenant_id: str, chance: random.Random) -> UsageEvent:
    return UsageEvent(
        id=uuid7(at_us // 1000, chance.getrandbits),
        at_us=at_us,
        month="2026-11",
        process_id="bench",
        tenant_id=tenant_id,
        key_id=chance.choice(KEYS),
        model=chance.choice(MODELS),
        api_version="v1",
        model_version="1.0.0",
        engine="onnx",
        rows=1,
        status=chance.choice(STATUSES),
        code=None,
        latency_us=312,
        bytes_in=118,
        bytes_out=240,
        request_id=f"request-{at_us}",
    )


def from_summaries(database: Database, tenant: str) -> int:
    """By day, key, model, API version and status, as `/account/usage` shows it."""
    by = (By.DAY, By.KEY, By.MODEL, By.API_VERSION, By.STATUS)
    with database.read() as session:
        found = usage_figures(session, tenant_id=tenant, since=date(2026, 11, 1), until=date(2026, 11, 30), by=by)
    return sum(each.calls for each in found)


def counted(database: Database, tenant: str) -> int:
    """The same number from the events, by their index."""
    within = {"tenant": tenant, "first": FIRST_US, "end": FIRST_US + MONTH_US}
    with database.read() as session:
        statement = text("SELECT count(*) FROM usage_event WHERE tenant_id = :tenant AND at_us >= :first AND at_us < :end")
        return int(session.execute(statement, within).scalar_one())


def seconds(count: Callable[[Database, str], int], database: Database, tenant: str, expected: int) -> float:
    begun = time.perf_counter()
    if count(database, tenant) != expected:
        raise SystemExit("the summaries do not equal the events")
    return time.perf_counter() - begun


def compare(database: Database, tenant: str) -> str:
    """Both ways in turns."""
    expected = counted(database, tenant)
    pairs = [[seconds(way, database, tenant, expected) for way in (from_summaries, counted)] for _ in range(ROUNDS)]
    summaries, events = (statistics.median(times) * 1000 for times in zip(*pairs, strict=True))
    ratio = statistics.median(other / one for one, other in pairs)
    return f"{expected:>10,} events of a month: summaries {summaries:8.2f} ms, counting {events:9.2f} ms: 1/{ratio:.0f}"


def main(count: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(f"sqlite:///{Path(folder) / 'bench.db'}")
        upgrade(database)
        fill(database, count)
        for tenant in TENANTS:
            print(compare(database, tenant))
        database.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS))
