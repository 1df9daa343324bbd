"""Quantiles out of buckets against those of the sorted shifts themselves."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse.migration.shift_buckets import ACCURACY, LARGEST, SMALLEST, bounded_shifts, bucket_counts, shift_of, shift_quantiles

SHIFTS = st.one_of(
    st.floats(-1, 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, SMALLEST, -SMALLEST, SMALLEST * 1.0001, LARGEST, -LARGEST, math.inf, -math.inf]),
)


@given(st.lists(SHIFTS, min_size=1, max_size=60))
def test_quantiles_are_within_two_percent_of_the_shifts_that_they_stand_for(shifts: list[float]) -> None:
    found = shift_quantiles(bucket_counts(np.array(shifts)))
    ordered = sorted(max(-LARGEST, min(LARGEST, shift)) for shift in shifts)
    for percent in (5, 50, 95):
        exact = ordered[math.ceil(len(ordered) * percent / 100) - 1]
        assert abs(found[percent] - exact) <= max(abs(exact) * ACCURACY * 1.000001, SMALLEST)


@given(st.lists(SHIFTS, max_size=20), st.lists(SHIFTS, max_size=20))
def test_counts_of_two_parts_add_up_to_those_of_the_whole(one: list[float], other: list[float]) -> None:
    whole, parts = bucket_counts(np.array([*one, *other])), bucket_counts(np.array(one))
    for bucket, rows in bucket_counts(np.array(other)).items():
        parts[bucket] = parts.get(bucket, 0) + rows
    assert parts == whole


def test_no_rows_have_no_quantiles() -> None:
    assert shift_quantiles({}) == {}
    assert bucket_counts(np.array([])) == {}


def test_falls_and_rises_mirror_each_other_and_no_sum_overflows() -> None:
    assert shift_of(-7) == -shift_of(7)
    assert shift_of(0) == 0
    assert shift_of(8) / shift_of(7) == pytest.approx((1 + ACCURACY) / (1 - ACCURACY))
    assert math.isfinite(float(bounded_shifts(np.array([math.inf] * 1000)).sum()))
