"""Which calls get a line of the log."""

import json
import logging
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stage import IRIS_ROW, Stage, instances

from gatehouse.call import Call, Route
from gatehouse.middleware.log_pace import LogPace
from gatehouse.middleware.request_log import JsonLines, ReadableLines


def call(status: int = 200, *, prediction: bool = True) -> Call:
    return Call("req_1", 0, status=status, route=Route("v1", "iris") if prediction else None)


def test_row_77_answers_beyond_so_many_of_a_second_get_no_line_and_the_next_line_counts_them() -> None:
    now = [7.0]
    pace = LogPace(2, lambda: now[0])
    assert [pace.take(call()) for _ in range(5)] == [0, 0, None, None, None]
    now[0] = 8.0
    assert [pace.take(call()) for _ in range(3)] == [3, 0, None]


@given(most=st.integers(0, 3), steps=st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0, 3.5]), max_size=30))
def test_row_77_of_each_second_just_the_first_so_many_get_a_line(most: int, steps: list[float]) -> None:
    now, lines = 0.5, Counter[int]()
    pace = LogPace(most, lambda: now)
    for step in steps:
        now += step
        room = lines[int(now)] < most
        assert (pace.take(call()) is not None) == room
        lines[int(now)] += room


def test_row_77_what_was_refused_or_is_no_prediction_always_gets_a_line() -> None:
    pace = LogPace(0)
    assert [pace.take(call(status)) for status in (401, 422, 429, 500, 0)] == [0] * 5
    assert pace.take(call(prediction=False)) == 0
    assert pace.take(call()) is None
    assert pace.take(call(503)) == 1


def last_words(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "gatehouse.calls" and not hasattr(record, "call")]


def test_row_77_answers_without_a_line_are_counted_by_a_last_one_when_the_server_ends(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gatehouse.calls")
    key = stage.tenant("acme", "iris")
    with stage.serving(log_answers_per_s="0") as live:
        for _ in range(3):
            assert live.predict(key, instances(IRIS_ROW)).status_code == 200
        assert not last_words(caplog)
    (record,) = last_words(caplog)
    assert json.loads(JsonLines().format(record))["left_out"] == 3
    assert ReadableLines().format(record).endswith("without a line since the last one: 3")


def test_a_server_that_left_nothing_out_has_no_last_words(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "gatehouse.calls")
    with stage.serving() as live:
        assert live.get("/health/live").status_code == 200
    assert not last_words(caplog)
