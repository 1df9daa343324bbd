"""`gatehouse limits selftest`: what the live store lets in, against the limit."""

from typing import Any

import pytest
import redis
from stage import free_port

from gatehouse.limits.selftest import Burst


def test_a_burst_at_the_live_store_is_let_in_as_far_as_allowed(gatehouse: Any, valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEHOUSE_REDIS_URL", valkey_url)
    told = gatehouse("limits", "selftest", "--json").json
    assert told["holds"] is True
    assert told["asked"] > told["allowed"] >= told["admitted"] > 200
    assert told["span_ms"] > 1000
    answer = gatehouse("limits", "selftest")
    assert answer.lines[1].startswith("the limit holds; ")
    with redis.Redis.from_url(valkey_url, decode_responses=True) as client:
        assert list(client.scan_iter("*selftest*")) == []


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "there is no Redis to test"),
        ("redis://:hush@127.0.0.1:{free}/0", "does not answer"),
        ("http://:hush@localhost", "GATEHOUSE_REDIS_URL: must be redis://HOST:PORT/NUMBER"),
        ("redis://:hush@localhost:port/0", "GATEHOUSE_REDIS_URL: must be redis://HOST:PORT/NUMBER"),
    ],
)
def test_a_store_that_is_not_there_is_said_in_one_line(gatehouse: Any, monkeypatch: pytest.MonkeyPatch, url: str, said: str) -> None:
    monkeypatch.setenv("GATEHOUSE_REDIS_URL", url.format(free=free_port()))
    answer = gatehouse("limits", "selftest", code=1)
    assert said in answer.error
    assert answer.error.count("\n") == 1
    assert "hush" not in answer.error


@pytest.mark.parametrize(("admitted", "holds"), [(101, False), (100, True), (97, True), (96, False)])
def test_one_too_many_and_too_few_do_not_hold(admitted: int, holds: bool) -> None:
    assert Burst(1000, admitted, 100, 500).holds is holds
