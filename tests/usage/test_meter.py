"""Which calls are written down one by one, and which are added up."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gatehouse.call import Call, Route
from gatehouse.errors import UsageUnavailable
from gatehouse.principal import Plan, Principal, Rate
from gatehouse.usage.event import Entry, RefusedCalls, UsageEvent, decode_line
from gatehouse.usage.meter import Meter
from gatehouse.usage.outcomes import OUTCOMES, outcome_of
from gatehouse.usage.spool import Spool
from gatehouse.usage.spool_folder import segments

RATE = Rate(1, 1, 1)
PRINCIPAL = Principal("t", "acme", "k", frozenset(), Plan("p", RATE, RATE, 1, "hard", 1, 1))
SECOND = 1_794_744_000


class Clock:
    """Seconds since 1970, and what was put off."""

    def __init__(self) -> None:
        self.now = float(SECOND)
        self.put_off: list[Callable[[], None]] = []

    def later(self, seconds: float, then: Callable[[], None]) -> None:
        assert seconds == 1.0
        self.put_off.append(then)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def spool(open_spool: Callable[..., Spool]) -> Spool:
    return open_spool()


@pytest.fixture
def meter(spool: Spool, clock: Clock) -> Meter:
    return Meter(spool, now_us=lambda: int(clock.now * 1e6), later=clock.later)


def entries(folder: Path) -> list[Entry]:
    return [decode_line(line) for segment in segments(folder) for line in segment.path(folder).read_bytes().splitlines()]


def call(status: int, **more: Any) -> Call:
    known: dict[str, Any] = {"principal": PRINCIPAL, "route": Route("v1", "iris")}
    return Call("request", time.perf_counter_ns(), status=status, **(known | more))


def test_a_person_whose_token_has_ended_is_counted_for_no_key(meter: Meter, spool_dir: Path) -> None:
    refused = {"principal": None, "reason": "credential_expired"}
    meter.record_refused(call(401, holder=replace(PRINCIPAL, key_id="", person_id="psn_1"), **refused))
    meter.record_refused(call(401, holder=PRINCIPAL, **refused))
    meter.close()
    (counted,) = entries(spool_dir)
    assert counted == RefusedCalls(refused=1, second=SECOND, tenant_id="t", key_id="k", status=401, limit="credential_expired")


@pytest.mark.parametrize("status", [status for status in [*OUTCOMES, 418] if outcome_of(status).event])
def test_every_call_of_a_principal_but_counted_ones_is_an_event(meter: Meter, spool_dir: Path, status: int) -> None:
    meter.record_refused(call(status, code="some_code", rows=3, bytes_in=7, bytes_out=8, engine="onnx"))
    (event,) = entries(spool_dir)
    assert isinstance(event, UsageEvent)
    assert (event.tenant_id, event.key_id, event.status, event.code) == ("t", "k", status, "some_code")
    assert (event.at_us, event.month, event.bytes_in, event.bytes_out, event.engine) == (SECOND * 10**6, "2026-11", 7, 8, "onnx")
    assert event.rows == (3 if status == 200 else 0)


def test_a_caller_who_went_away_before_its_answer_is_written_down_without_rows(meter: Meter, spool_dir: Path) -> None:
    meter.record_refused(call(0, rows=3))
    (event,) = entries(spool_dir)
    assert isinstance(event, UsageEvent)
    assert (event.status, event.rows) == (499, 0)


@pytest.mark.parametrize("status", [408, 429])
def test_counted_calls_are_one_line_for_each_key_limit_and_second(meter: Meter, clock: Clock, spool_dir: Path, status: int) -> None:
    for reason in ("tenant-requests", "tenant-requests", "key-rows"):
        meter.record_refused(call(status, reason=reason))
    clock.now += 1
    meter.record_refused(call(status, reason="key-rows"))
    (then,) = clock.put_off
    assert entries(spool_dir) == []
    then()
    meter.record_refused(call(status, reason="key-rows"))
    _, then = clock.put_off
    then()
    counted = {"tenant_id": "t", "key_id": "k", "status": status}
    assert entries(spool_dir) == [
        RefusedCalls(refused=2, second=SECOND, limit="tenant-requests", **counted),
        RefusedCalls(refused=1, second=SECOND, limit="key-rows", **counted),
        RefusedCalls(refused=1, second=SECOND + 1, limit="key-rows", **counted),
        RefusedCalls(refused=1, second=SECOND + 1, limit="key-rows", **counted),
    ]


def test_counts_are_right_when_the_clock_is_set_back(meter: Meter, clock: Clock, spool_dir: Path) -> None:
    meter.record_refused(call(429, reason="r"))
    clock.now -= 3600
    meter.record_refused(call(429, reason="r"))
    meter.close()
    assert [each.second for each in entries(spool_dir) if isinstance(each, RefusedCalls)] == [SECOND, SECOND - 3600]


def test_calls_of_nobody_are_counted_in_memory_alone(meter: Meter, spool_dir: Path) -> None:
    for status in (401, 401, 431):
        meter.record_refused(call(status, principal=None, route=None))
    meter.close()
    assert dict(meter.unknown) == {401: 2, 431: 1}
    assert entries(spool_dir) == []


def test_calls_of_other_paths_are_no_usage(meter: Meter, spool_dir: Path) -> None:
    for status in (429, 422):
        meter.record_refused(call(status, route=None))
    meter.record(call(200, route=None))
    meter.close()
    assert entries(spool_dir) == []


def test_without_room_a_refused_call_is_lost_and_says_so(
    open_spool: Callable[..., Spool], clock: Clock, spool_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    meter = Meter(open_spool(max_backlog_bytes=-1), now_us=lambda: int(clock.now * 1e6), later=clock.later)
    meter.record_refused(call(429, reason="r"))
    meter.record_refused(call(422))
    meter.close()
    assert meter.lost == 2
    assert "the refused call request could not be written down: usage_backlog_full" in caplog.text
    assert entries(spool_dir) == []
    with pytest.raises(UsageUnavailable):
        meter.ensure_room()
