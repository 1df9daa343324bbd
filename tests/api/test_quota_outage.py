"""PostgreSQL gone under load: no prediction fails of a known key with a soft quota or with a block, and all of them are counted."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from outage import database_away
from stage import IRIS_ROW, WIDE, Live, Stage, instances, problem, wait_until

from gatehouse.principal import Scope

QUOTAS = {"soft": (10**9, "soft"), "block": (10**7, "hard"), "spent": (8, "hard")}


@pytest.fixture
def stage(tmp_path: Path, published: Path, postgresql_url: str) -> Iterator[Stage]:
    (tmp_path / "state").mkdir()
    made = Stage(tmp_path / "state", published, postgresql_url)
    yield made
    made.database.close()


def call_until(over: threading.Event, live: Live, key: str) -> Counter[int]:
    statuses: Counter[int] = Counter()
    with httpx2.Client(base_url=live.base_url, timeout=30) as client:
        while not over.is_set():
            body = instances(IRIS_ROW, IRIS_ROW)
            statuses[client.post("/v1/models/iris/predict", json=body, headers={"x-api-key": key}).status_code] += 1
    return statuses


def check_outage(stage: Stage, seconds: float) -> None:
    plans = {name: replace(WIDE, name=name, rows_per_month=rows, quota_mode=mode) for name, (rows, mode) in QUOTAS.items()}
    keys = {name: stage.tenant(name, "iris", plan=stage.plan(plan)) for name, plan in plans.items()}
    scraper = stage.key("_operator", scopes={Scope.METRICS_READ})
    over, away_for = threading.Event(), threading.Event()
    with stage.serving() as live, ThreadPoolExecutor(4) as threads:
        live.get("/metrics", scraper)
        for key in keys.values():
            assert live.predict(key, instances(IRIS_ROW, IRIS_ROW)).status_code == 200  # takes the block: of 8 rows, just these two
        with database_away(live.app.database, stage.values["GATEHOUSE_DATABASE_URL"]):
            calling = {name: threads.submit(call_until, over, live, keys[name]) for name in ("soft", "block")}
            refused = live.predict(keys["spent"], instances(IRIS_ROW))
            problem(refused, 503, "quota_unavailable")
            assert refused.headers["retry-after"] == "1"
            away_for.wait(seconds)
            told = dict(line.rsplit(" ", 1) for line in live.get("/metrics", scraper).text.splitlines())
            assert float(told["gatehouse_quota_unavailable_total"]) == 1
        wait_until(lambda: live.predict(keys["spent"], instances(IRIS_ROW)).status_code == 200)
        over.set()
        for name, calls in calling.items():
            statuses = calls.result()
            assert list(statuses) == [200]
            rows = 2 + 2 * statuses.total()
            assert rows > 10
            wait_until(lambda key=keys[name], rows=rows: live.get("/account/usage", key).json()["rows"] == rows)


def test_without_postgresql_soft_quotas_and_blocks_go_on_and_a_spent_one_is_503(stage: Stage) -> None:
    check_outage(stage, 3)


@pytest.mark.soak
def test_a_minute_without_postgresql_fails_no_call(stage: Stage) -> None:
    check_outage(stage, 60)
