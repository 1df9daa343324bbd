"""Families of several processes become one."""

import pytest

from gatehouse.metrics.family import Family, Over, combined


def counter(value: float, **labels: str) -> Family:
    return Family(name="calls_total", kind="counter", meaning="Calls.", labels=tuple(labels), samples={tuple(labels.values()): (value,)})


def gauge(value: float, over: Over) -> Family:
    return Family(name="waiting", kind="gauge", meaning="Waiting.", over=over, samples={(): (value,)})


def test_counts_of_the_living_and_of_those_that_ended_are_added_up() -> None:
    (found,) = combined([[counter(1, model="a")], [counter(2, model="b")]], [[counter(4, model="a")]])
    assert found.samples == {("a",): (5,), ("b",): (2,)}


@pytest.mark.parametrize(("over", "value"), [("sum", 7), ("max", 4), ("min", 3)])
def test_a_gauge_is_what_it_says_over_the_living_alone(over: Over, value: float) -> None:
    (found,) = combined([[gauge(4, over)], [gauge(3, over)]], [[gauge(100, over)], [gauge(0, over)]])
    assert found.samples == {(): (value,)}


def test_histograms_are_added_bucket_by_bucket() -> None:
    def histogram(*values: float) -> Family:
        return Family(name="seconds", kind="histogram", meaning="Seconds.", buckets=(0.1, 1.0), samples={(): values})

    (found,) = combined([[histogram(1, 2, 3, 9.5)]], [[histogram(10, 20, 30, 0.5)]])
    assert found.samples == {(): (11, 22, 33, 10.0)}


def test_a_family_whose_shape_another_version_has_changed_is_left_out_rather_than_mixed_up() -> None:
    (found,) = combined([[counter(1, model="a")]], [[counter(9, tenant="a")]])
    assert found.samples == {("a",): (1,)}
