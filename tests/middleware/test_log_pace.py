"""Which calls get a line of the log."""

from gatehouse.call import Call, Route
from gatehouse.middleware.log_pace import LogPace


def call(status: int = 200, *, prediction: bool = True) -> Call:
    return Call("req_1", 0, status=status, route=Route("v1", "iris") if prediction else None)


def test_row_77_answers_beyond_so_many_of_a_second_get_no_line_and_the_next_line_counts_them() -> None:
    now = [7.0]
    pace = LogPace(2, lambda: now[0])
    assert [pace.take(call()) for _ in range(5)] == [0, 0, None, None, None]
    now[0] = 8.0
    assert [pace.take(call()) for _ in range(3)] == [3, 0, None]


def test_row_77_what_was_refused_or_is_no_prediction_always_gets_a_line() -> None:
    pace = LogPace(0)
    assert [pace.take(call(status)) for status in (401, 422, 429, 500, 0)] == [0] * 5
    assert pace.take(call(prediction=False)) == 0
    assert pace.take(call()) is None
    assert pace.take(call(503)) == 1
