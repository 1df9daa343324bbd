"""Idempotency-Key on predictions of a running server, on SQLite and on PostgreSQL."""

import json
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from estimators import RELEASE, SLOW_SIZE
from line_versions import GROWN, LINE, deployment, publish_line, release
from outage import database_away
from sqlmodel import col, select
from stage import IRIS_ROW, Live, Stage, instances, problem, wait_until
from wire import post, wire

from gatehouse.db.tables import IdempotencyClaimTable, UsageEventTable
from gatehouse.operating import releasing
from gatehouse.principal import Plan, Rate

SMALL = Plan("small", Rate(1, 3600, 10_000), Rate(1, 3600, 12), 5, "hard", 10, 10_000)
ONE = {"size": 1.5}


@pytest.fixture
def live(stage_on_each_database: Stage) -> Iterator[Live]:
    with stage_on_each_database.serving() as running:
        yield running


@pytest.fixture
def on_sqlite(stage: Stage) -> Iterator[Live]:
    with stage.serving() as running:
        yield running


def once(live: Live, key: str, body: Any, name: str, path: str = LINE) -> httpx2.Response:
    return live.predict(key, body, path, idempotency_key=name)


def predictions(answer: httpx2.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()["predictions"]


def replayed(answer: httpx2.Response) -> bool:
    assert answer.headers.get("idempotency-replayed") in (None, "true")
    return answer.status_code == 200 and "idempotency-replayed" in answer.headers


def metered(stage: Stage, model: str = "line") -> list[tuple[str, int]]:
    """Model version and rows of all answered calls that are in the database."""
    with stage.database.read() as session:
        answered = select(UsageEventTable).where(UsageEventTable.status == 200, UsageEventTable.model == model)
        return [(str(row.model_version), row.rows) for row in session.exec(answered.order_by(col(UsageEventTable.at_us)))]


def claims(stage: Stage) -> list[IdempotencyClaimTable]:
    with stage.database.read() as session:
        return list(session.exec(select(IdempotencyClaimTable)))


def wait_for(live: Live, version: str) -> None:
    """Until the model is served by this version."""
    release = live.app.serving.registry.release
    wait_until(lambda: (now := release("line", "v1")) is not None and now.stable == version)


@contextmanager
def slow_call(live: Live, key: str, name: str) -> Iterator[Any]:
    """A first call that is under way until the block ends; yields what its answer will be."""
    RELEASE.clear()
    with ThreadPoolExecutor(1) as thread:
        calling = thread.submit(once, live, key, instances({"size": SLOW_SIZE}), name, "/v1/models/slow/predict")
        try:
            wait_until(lambda: len(claims(live.stage)) == 1)
            yield calling
        finally:
            RELEASE.set()


def test_100_threads_that_repeat_one_key_at_once_are_metered_once(stage_on_each_database: Stage) -> None:
    stage = stage_on_each_database
    keys = [stage.tenant("acme", "line"), stage.key("acme")]
    start, ended = threading.Barrier(100), threading.Event()
    with stage.serving() as one, stage.serving() as other, httpx2.Client(timeout=30) as client:

        def call(number: int) -> httpx2.Response:
            server = (one, other)[number % 2]
            headers = {"x-api-key": keys[number % 3 % 2], "idempotency-key": "invoice-7"}
            start.wait(30)
            while True:
                answer = client.post(server.base_url + LINE, json=instances(ONE, ONE), headers=headers)
                if answer.status_code != 409:
                    ended.set()
                    return answer
                problem(answer, 409, "idempotency_in_progress")
                assert answer.headers["retry-after"] == "1"
                ended.wait(1)  # as it says: a hundred that ask without a pause keep a slow machine from answering the first

        with ThreadPoolExecutor(100) as threads:
            answers = list(threads.map(call, range(100)))
        assert {json.dumps(predictions(answer)) for answer in answers} == {json.dumps([{"value": 1.5}] * 2)}
        assert Counter(map(replayed, answers)) == {True: 99, False: 1}
        assert one.app.limits.idempotency.replayed + other.app.limits.idempotency.replayed == 99
    assert metered(stage) == [("1.0.0", 2)]


def test_a_repeat_is_scored_again_by_the_version_of_the_first_call(live: Live, published: Path) -> None:
    stage, key = live.stage, live.stage.tenant("acme", "line")
    publish_line(published, stage, 1)
    first = once(live, key, instances(ONE), "a")
    release(stage, 1)
    wait_for(live, "1.1.0")
    for path in (LINE, "/v1/predict"):
        repeat = once(live, key, instances(ONE), "a", path)
        assert replayed(repeat)
        assert repeat.json() | {"request_id": ""} == first.json() | {"request_id": ""}
    assert not replayed(once(live, key, instances(ONE), "b"))
    shutil.rmtree(stage.state_dir / "models" / "line" / "1.0.0")
    assert replayed(once(live, key, instances(ONE), "a"))  # it is kept for a while
    with stage.serving() as anew:
        problem(once(anew, key, instances(ONE), "a"), 409, "idempotency_version_gone")
        assert predictions(once(anew, key, instances(ONE), "b")) == [{"value": 2.5}]
    assert metered(stage) == [("1.0.0", 1), ("1.1.0", 1)]


def test_a_repeat_is_read_by_the_contract_of_its_own_version(live: Live, published: Path) -> None:
    stage, key = live.stage, live.stage.tenant("acme", "line")
    publish_line(published, stage, 1, GROWN)
    release(stage, 1)
    body = instances({"size": 1.5, "weight": 10})
    wait_for(live, "1.1.0")
    first = once(live, key, body, "a")
    assert predictions(first) == [{"value": 12.5}]
    releasing.rollback(deployment(stage), "line", "v1", force=True)
    wait_for(live, "1.0.0")
    repeat = once(live, key, body, "a")
    assert replayed(repeat)
    assert predictions(repeat) == predictions(first)
    problem(once(live, key, body, "b"), 422, "invalid_input")
    problem(once(live, key, instances({"size": 1.5, "weight": 11}), "a"), 422, "idempotency_key_reused")


def test_repeats_cost_a_request_and_their_rows_but_none_of_the_quota(live: Live) -> None:
    stage = live.stage
    key = stage.tenant("acme", "line", plan=stage.plan(SMALL))
    body = instances(*[ONE] * 4)
    answers = [once(live, key, body, "a") for _ in range(3)]
    assert [replayed(answer) for answer in answers] == [False, True, True]
    assert '"tenant-requests";r=9997' in answers[2].headers["ratelimit"]
    assert '"tenant-rows";r=0' in answers[2].headers["ratelimit"]
    problem(once(live, key, body, "a"), 429, "rate_limited")
    wait_until(lambda: live.get("/account", key).json()["rows_left"] == 1)
    assert metered(stage) == [("1.0.0", 4)]
    stage.edit_plan("small", rows=Rate(1000, 1, 1000))
    wait_until(lambda: replayed(once(live, key, body, "a")))  # although the quota has one row left
    problem(once(live, key, body, "b"), 429, "quota_exhausted")
    problem(once(live, key, body, "b"), 429, "quota_exhausted")
    predictions(once(live, key, instances(ONE), "b"))  # a refused call has given its key back


def test_another_body_is_422_and_another_tenants_same_key_is_its_own(live: Live) -> None:
    stage = live.stage
    acme, other = stage.tenant("acme", "line", "iris"), stage.tenant("other", "line")
    assert predictions(once(live, acme, instances(ONE), "a")) == [{"value": 1.5}]
    problem(once(live, acme, instances({"size": 2}), "a"), 422, "idempotency_key_reused")
    problem(once(live, acme, json.dumps(instances(ONE)).encode() + b" ", "a"), 422, "idempotency_key_reused")
    assert not replayed(once(live, other, instances({"size": 2}), "a"))
    assert not replayed(once(live, acme, instances(IRIS_ROW), "a", "/v1/models/iris/predict"))
    assert replayed(once(live, stage.key("acme"), instances(ONE), "a"))
    wait_until(lambda: len(metered(stage)) == 2)


def test_a_repeat_while_the_first_call_is_under_way_is_409(live: Live) -> None:
    stage, key = live.stage, live.stage.tenant("acme", "slow")
    body, path = instances({"size": SLOW_SIZE}), "/v1/models/slow/predict"
    with slow_call(live, key, "a") as calling:
        with stage.serving() as other:
            for server in (live, other):
                refused = once(server, key, body, "a", path)
                problem(refused, 409, "idempotency_in_progress")
                assert refused.headers["retry-after"] == "1"
                problem(once(server, key, instances({"size": 1}), "a", path), 422, "idempotency_key_reused")
        RELEASE.set()
        assert not replayed(calling.result())
    assert replayed(once(live, key, body, "a", path))
    wait_until(lambda: metered(stage, "slow") == [("1.0.0", 1)])


def test_a_call_that_fails_gives_its_key_back(live: Live) -> None:
    key = live.stage.tenant("acme", "fragile", "line")
    path = "/v1/models/fragile/predict"
    for _ in range(2):
        problem(once(live, key, instances({"size": 13.1313}), "a", path), 500, "prediction_failed")
    assert not replayed(once(live, key, instances({"size": 1}), "a", path))
    problem(once(live, key, instances({}), "b"), 422, "invalid_input")
    assert not replayed(once(live, key, instances(ONE), "b"))


def test_a_caller_that_goes_away_is_answered_once_where_its_rows_were_begun_and_else_gives_its_key_back(live: Live) -> None:
    stage, key, path = live.stage, live.stage.tenant("acme", "slow"), "/v1/models/slow/predict"
    body = instances({"size": SLOW_SIZE})
    RELEASE.clear()
    try:
        with wire(live.port) as begun, wire(live.port) as waiting:
            begun.send(post(key, json.dumps(body).encode(), "Idempotency-Key: begun", path=path))
            wait_until(lambda: live.app.batching.batches == 1)
            waiting.send(post(key, json.dumps(body).encode(), "Idempotency-Key: waiting", path=path))
            wait_until(lambda: len(claims(stage)) == 2)
        wait_until(lambda: len(claims(stage)) == 1)
    finally:
        RELEASE.set()
    wait_until(lambda: metered(stage, "slow") == [("1.0.0", 1)])
    assert replayed(once(live, key, body, "begun", path))
    assert not replayed(once(live, key, body, "waiting", path))
    wait_until(lambda: len(metered(stage, "slow")) == 2)


def test_without_the_database_nothing_is_scored_unclaimed(live: Live) -> None:
    stage, key = live.stage, live.stage.tenant("acme", "line")
    live.caught_up()
    assert live.predict(key, instances(ONE), LINE).status_code == 200
    with database_away(live.app.database, stage.values["GATEHOUSE_DATABASE_URL"]):
        refused = once(live, key, instances(ONE), "a")
        problem(refused, 503, "idempotency_unavailable")
        assert refused.headers["retry-after"] == "1"
        assert live.predict(key, instances(ONE), LINE).status_code == 200
    wait_until(lambda: once(live, key, instances(ONE), "a").status_code == 200)
    assert replayed(once(live, key, instances(ONE), "a"))
    wait_until(lambda: len(metered(stage)) == 3)


def test_a_key_is_the_same_bare_and_in_quotes(on_sqlite: Live) -> None:
    key = on_sqlite.stage.tenant("acme", "line")
    once(on_sqlite, key, instances(ONE), "quoted")
    assert replayed(once(on_sqlite, key, instances(ONE), '"quoted"'))


def test_columns_and_bulk_are_replayed_as_well_and_nothing_that_was_sent_is_stored(on_sqlite: Live) -> None:
    stage, key = on_sqlite.stage, on_sqlite.stage.tenant("acme", "line")
    bulk = {"columns": ["size"], "data": [[n / 1000] for n in range(20_000)]}
    first, repeat = (once(on_sqlite, key, bulk, "nightly-of-monday") for _ in range(2))
    assert replayed(repeat)
    assert predictions(repeat) == predictions(first)
    (claim,) = claims(stage)
    assert (claim.endpoint, claim.model_version) == ("line/v1", "1.0.0")
    columns = claim.model_dump()
    assert {len(columns.pop(name)) for name in ("key_digest", "body_digest")} == {32}
    assert set(columns) == {"tenant_id", "endpoint", "model_version", "event_id", "process_id", "claimed_at"}
    assert "nightly" not in str(columns)


def test_malformed_and_doubled_headers_are_400_and_metered_as_refused(on_sqlite: Live) -> None:
    key = on_sqlite.stage.tenant("acme", "line")
    for sent in ("", '""', '"open', "two words", "a,b", 'a"b', "x" * 256, f'"{"x" * 256}"', '"a";p=1', "a;p=1", '"a\\b"'):
        problem(once(on_sqlite, key, instances(ONE), sent), 400, "idempotency_key_malformed")
    headers = [("Authorization", f"Bearer {key}"), ("Content-Type", "application/json"), ("Idempotency-Key", "a"), ("Idempotency-Key", "a")]
    twice = on_sqlite.client.post(LINE, content=json.dumps(instances(ONE)).encode(), headers=headers)
    assert "two" in problem(twice, 400, "idempotency_key_malformed")["detail"]
    assert claims(on_sqlite.stage) == []
    for sent in ("x" * 255, '"two words"', '"a\\"b"', "8e03978e-40d5-43e8-bc93-6894a57f9324", "a+/=:"):
        assert once(on_sqlite, key, instances(ONE), sent).status_code == 200
