"""Adding up by hour and by day."""

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gatehouse.usage.summary import HOUR_US, by_day, by_tenant_and_day, summarise

calls = st.lists(
    st.builds(
        SimpleNamespace,
        at_us=st.integers(0, 50 * HOUR_US),
        tenant_id=st.sampled_from(["a", "b"]),
        key_id=st.just("k"),
        model=st.sampled_from([None, "iris"]),
        api_version=st.none(),
        status=st.sampled_from([200, 422]),
        rows=st.integers(0, 9),
        bytes_in=st.just(1),
        bytes_out=st.just(2),
        latency_us=st.integers(0, 5),
    )
)


def added_up(events: list[Any], span_us: int) -> dict[tuple[Any, ...], tuple[int, ...]]:
    sums: dict[tuple[Any, ...], list[Any]] = defaultdict(list)
    for event in events:
        key = (event.tenant_id, event.at_us // span_us, "k", event.model or "", "", event.status)
        sums[key].append((1, event.rows, 1, 2, event.latency_us))
    return {key: tuple(map(sum, zip(*each, strict=True))) for key, each in sums.items()}


@settings(max_examples=100, deadline=None)
@given(calls)
def test_every_event_is_in_one_sum_of_its_hour_and_its_day(events: list[Any]) -> None:
    hours = summarise(events)
    days = by_day(hours)
    assert dict(hours) == added_up(events, HOUR_US)
    assert dict(days) == added_up(events, 24 * HOUR_US)
    assert hours == sorted(hours)
    assert days == sorted(days)
    whole = by_tenant_and_day(days)
    assert whole == sorted(whole)
    for (tenant, day), sums in whole:
        mine = [each for (of, span, *_), each in days if (of, span) == (tenant, day)]
        assert sums == tuple(map(sum, zip(*mine, strict=True)))
    assert sum(sums[0] for _, sums in whole) == len(events)
