"""Adding up by hour."""

from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gatehouse.usage.summary import HOUR_US, Sums, summarise, summary_key


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 3 * HOUR_US),
            st.sampled_from(["a", "b"]),
            st.sampled_from([None, "iris"]),
            st.sampled_from([200, 422]),
            st.integers(0, 9),
        )
    )
)
def test_every_event_is_in_one_sum(calls: list[tuple[int, str, str | None, int, int]]) -> None:
    events: list[Any] = [
        SimpleNamespace(
            at_us=at,
            tenant_id=tenant,
            key_id="k",
            model=model,
            api_version=None,
            status=status,
            rows=rows,
            bytes_in=1,
            bytes_out=2,
            latency_us=3,
        )
        for at, tenant, model, status, rows in calls
    ]
    sums = summarise(events)
    assert [key for key, _ in sums] == sorted({summary_key(event) for event in events})
    for key, each in sums:
        mine = [event for event in events if summary_key(event) == key]
        assert each == Sums(len(mine), sum(event.rows for event in mine), len(mine), 2 * len(mine), 3 * len(mine))
