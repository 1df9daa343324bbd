"""The end of a server under load: no call is dropped, whoever calls is told to go elsewhere, and a setting bounds it."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from estimators import RELEASE, SLOW_SIZE
from proxy import proxy_to
from rolling import rolling_restart
from stage import IRIS_ROW, Live, Stage, instances, wait_until
from wire import head, post, wire

from gatehouse.cli.serve import longest_call_s
from gatehouse.settings import settings_from

GOOD = json.dumps(instances(IRIS_ROW)).encode()
SLOW_CALL = json.dumps(instances({"size": SLOW_SIZE})).encode()
PATH = "/v1/models/iris/predict"


@contextmanager
def draining(stage: Stage, seconds: str = "3") -> Iterator[tuple[Live, Callable[[], None]]]:
    """A server, and how to tell it to end."""
    with stage.serving(drain_s=seconds) as live:

        def begin() -> None:
            live.server.should_exit = True
            wait_until(lambda: live.app.connections.draining)

        yield live, begin


def test_while_draining_calls_are_answered_as_the_last_of_their_connections_and_readiness_says_so(stage: Stage) -> None:
    key = stage.tenant("acme", "iris")
    with draining(stage) as (live, begin), wire(live.port) as kept, wire(live.port) as silent:
        assert kept.send(post(key, GOOD)).answer().header("connection") is None
        begin()
        answer = kept.send(post(key, GOOD)).answer()
        assert (answer.status, answer.header("connection")) == (200, "close")
        assert kept.closed()
        with wire(live.port) as late:
            ready = late.send(head("GET /health/ready")).answer("GET")
            assert (ready.status, ready.json(), ready.header("connection")) == (503, {"status": "draining"}, "close")
        with wire(live.port) as late:
            assert late.send(head("GET /health/live")).answer("GET").status == 200
        assert silent.send(post(key, GOOD)).answer().status == 200


def test_a_call_under_way_when_it_begins_is_told_that_its_answer_is_the_last(stage: Stage) -> None:
    RELEASE.clear()
    key = stage.tenant("acme", "slow")
    with draining(stage, "0") as (live, begin), wire(live.port) as connection:
        connection.send(post(key, SLOW_CALL, path="/v1/models/slow/predict"))
        wait_until(lambda: live.app.limits.concurrency.all_inside == 1)
        begin()
        RELEASE.set()
        answer = connection.answer()
        assert (answer.status, answer.header("connection")) == (200, "close")
        assert connection.closed()


def test_a_request_that_has_begun_is_read_and_answered_and_an_idle_connection_is_closed(stage: Stage) -> None:
    RELEASE.clear()
    key = stage.tenant("acme", "iris", "slow")
    whole = post(key, GOOD)
    with draining(stage, "0") as (live, begin), ExitStack() as stack:
        in_head, in_body, idle, slow = [stack.enter_context(wire(live.port)) for _ in range(4)]
        in_head.send(whole[:40])
        in_body.send(whole[:-5])
        slow.send(post(key, SLOW_CALL, path="/v1/models/slow/predict"))
        wait_until(lambda: live.app.limits.concurrency.all_inside == 2 and len(live.app.connections.heads) == 1)
        begin()
        assert idle.closed()
        answers = [in_head.send(whole[40:]).answer(), in_body.send(whole[-5:]).answer()]
        assert [(answer.status, answer.header("connection")) for answer in answers] == [(200, "close")] * 2
        RELEASE.set()
        assert slow.answer().status == 200


def test_a_new_connection_has_time_for_its_first_request_when_the_server_ends(stage: Stage) -> None:
    key = stage.tenant("acme", "iris")
    with draining(stage, "0") as (live, begin), wire(live.port) as connected, wire(live.port) as silent:
        wait_until(lambda: live.app.connections.held == 2)
        begin()
        time.sleep(0.4)  # a proxy that is slow between its handshake and its request
        answer = connected.send(post(key, GOOD)).answer()
        assert (answer.status, answer.header("connection")) == (200, "close")
        assert connected.closed()
        assert silent.closed()


def test_the_time_in_which_a_server_stands_still_is_none_in_which_its_end_is_announced(stage: Stage) -> None:
    key = stage.tenant("acme", "iris")
    goes_on = threading.Event()
    with draining(stage, "3") as (live, begin), wire(live.port) as kept:
        assert kept.send(post(key, GOOD)).answer().status == 200
        begin()
        loop = next(iter(live.server.server_state.connections)).loop  # type: ignore[union-attr]
        loop.call_soon_threadsafe(lambda: (time.sleep(3.5), goes_on.set()))  # a machine that has no time for it
        assert goes_on.wait(20)
        time.sleep(0.5)  # callers have stood still too
        assert kept.send(post(key, GOOD)).answer().status == 200
        assert kept.closed()


def test_the_setting_bounds_how_long_calls_under_way_may_take_and_their_callers_are_told(stage: Stage) -> None:
    RELEASE.clear()
    key = stage.tenant("acme", "slow")
    with stage.serving(grace_s=0.5) as live, wire(live.port) as connection:
        connection.send(post(key, SLOW_CALL, path="/v1/models/slow/predict"))
        wait_until(lambda: live.app.limits.concurrency.all_inside == 1)
        begun = time.monotonic()
        live.server.should_exit = True
        answer = connection.answer()
        assert 0.5 <= time.monotonic() - begun < 3
        assert (answer.status, answer.json()["code"], answer.header("connection")) == (503, "service_unavailable", "close")
        RELEASE.set()


def test_the_bound_is_the_setting_or_as_long_as_a_call_may_take(stage: Stage) -> None:
    assert longest_call_s(settings_from(stage.values | {"GATEHOUSE_SHUTDOWN_DEADLINE_S": "7"}, stage.state_dir)) == 7
    assert longest_call_s(stage.settings) == 30 + 2 * 30 + 5


def restarted_behind_the_proxy(stage: Stage, rounds: int, callers: int) -> tuple[list[str], set[object]]:
    """What the proxy says went wrong, and what callers got."""
    failures: list[str] = []

    @contextmanager
    def front(*ports: int) -> Iterator[int]:
        with proxy_to(*ports) as proxy:
            yield proxy.port
            failures.extend(proxy.failures)

    statuses = rolling_restart(stage, front, rounds, callers, drain_s="1")
    return failures, set(statuses)


@pytest.mark.endpoints("iris v1")
def test_row_101_a_rolling_restart_behind_a_proxy_fails_no_call(stage: Stage) -> None:
    assert restarted_behind_the_proxy(stage, rounds=1, callers=4) == ([], {200})


@pytest.mark.soak
@pytest.mark.endpoints("iris v1")
def test_row_101_many_rolling_restarts_behind_a_proxy_fail_no_call(stage: Stage) -> None:
    assert restarted_behind_the_proxy(stage, rounds=15, callers=12) == ([], {200})
