"""What is counted of ended calls: each once, under names that no caller can choose."""

from time import perf_counter_ns

import pytest

from gatehouse.call import Call, Route
from gatehouse.metrics.calls import BOUNDS_S, MOST_REASONS, CallCounts
from gatehouse.metrics.family import Family


def ended(status: int, **known: object) -> Call:
    call = Call("req_1", perf_counter_ns(), route=Route("v1", "secret-model-of-others"))
    call.status = status
    for name, value in known.items():
        setattr(call, name, value)
    return call


def family(counts: CallCounts, name: str) -> Family:
    (found,) = [each for each in counts.families() if each.name == name]
    return found


def test_calls_are_told_apart_by_endpoint_status_and_code_and_never_by_what_a_caller_wrote() -> None:
    counts = CallCounts()
    for call in (
        *(ended(200, model="iris", api_version="v1", rows=3, bytes_in=10, bytes_out=20) for _ in range(2)),
        ended(422, model="iris", api_version="v1", code="invalid_input", bytes_in=5, bytes_out=7),
        ended(404, code="not_found"),
        ended(0),
        ended(200, route=None),
    ):
        counts.count(call)

    assert family(counts, "calls_total").samples == {
        ("prediction", "iris", "v1", "200", ""): (2,),
        ("prediction", "iris", "v1", "422", "invalid_input"): (1,),
        ("prediction", "", "", "404", "not_found"): (1,),
        ("prediction", "", "", "499", ""): (1,),
        ("other", "", "", "200", ""): (1,),
    }
    assert family(counts, "prediction_rows_total").samples == {("", ""): (0,), ("iris", "v1"): (6,)}
    assert family(counts, "prediction_bytes_in_total").samples["iris", "v1"] == (25,)
    assert family(counts, "prediction_bytes_out_total").samples["iris", "v1"] == (47,)
    assert "secret" not in str(list(counts.families()))
    assert counts.totals() == {
        ("iris", "v1", 200, ""): (2, 6),
        ("iris", "v1", 422, "invalid_input"): (1, 0),
        ("", "", 404, "not_found"): (1, 0),
        ("", "", 499, ""): (1, 0),
        ("", "", 200, ""): (1, 0),
    }


@pytest.mark.parametrize(("seconds", "bucket"), [(0.0, 0), (0.0009, 0), (0.004, 2), (0.9, 9), (29.0, 13), (31.0, 14)])
def test_an_answered_prediction_falls_into_the_bucket_of_its_time(seconds: float, bucket: int) -> None:
    counts = CallCounts()

    counts.count(ended(200, model="iris", api_version="v1", started_ns=perf_counter_ns() - round(seconds * 1e9)))
    counts.count(ended(504, model="iris", api_version="v1", started_ns=0))

    (values,) = family(counts, "prediction_seconds").samples.values()
    assert [place for place, count in enumerate(values[:-1]) if count] == [bucket]
    assert len(values) == len(BOUNDS_S) + 2
    assert seconds <= values[-1] < seconds + 0.1


def test_what_refused_a_call_is_counted_under_at_most_so_many_names() -> None:
    counts = CallCounts()
    counts.count(ended(429, code="rate_limited", reason="tenant-requests"))
    for number in range(MOST_REASONS + 5):
        counts.count(ended(503, code="overloaded", reason=f"reason-{number}"))
    counts.count(ended(429, code="rate_limited", reason="tenant-requests"))

    samples = family(counts, "refusals_total").samples
    assert samples["429", "tenant-requests"] == (2,)
    assert samples["503", "other"] == (6,)
    assert len(samples) == MOST_REASONS + 1
