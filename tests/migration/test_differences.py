"""Differences of answers against a plain reference that goes row by row."""

import math
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gatehouse.migration.differences import differences

CONFIDENCES = st.floats(0, 1).map(lambda number: round(number, 4))
LABELS = st.fixed_dictionaries({"label": st.sampled_from("abc"), "confidence": CONFIDENCES})
VALUES = st.fixed_dictionaries({"value": st.floats(allow_nan=False, allow_infinity=False)})
TARGETS = st.fixed_dictionaries({"species": LABELS, "size": VALUES})


def pairs(answers: st.SearchStrategy[Any]) -> st.SearchStrategy[list[tuple[Any, Any]]]:
    return st.lists(st.tuples(answers, answers) | answers.map(lambda one: (one, one)), min_size=1, max_size=30)


def reference(live: Any, other: Any) -> tuple[bool, float]:
    if "value" in live:
        return live["value"] != other["value"], max(-1e100, min(1e100, other["value"] - live["value"]))
    return live["label"] != other["label"], other["confidence"] - live["confidence"]


@given(pairs(LABELS) | pairs(VALUES))
def test_one_output_differs_as_each_row_does(rows: list[tuple[Any, Any]]) -> None:
    found = differences([live for live, _ in rows], [other for _, other in rows])
    expected = [reference(live, other) for live, other in rows]
    assert found.disagreed.tolist() == [disagreed for disagreed, _ in expected]
    assert found.shifts.tolist() == [shift for _, shift in expected]
    assert all(map(math.isfinite, found.shifts))


@given(pairs(TARGETS))
def test_of_several_targets_any_disagrees_and_the_first_shifts(rows: list[tuple[Any, Any]]) -> None:
    found = differences([live for live, _ in rows], [other for _, other in rows], ("species", "size"))
    each = [{name: reference(live[name], other[name]) for name in ("species", "size")} for live, other in rows]
    assert found.disagreed.tolist() == [row["species"][0] or row["size"][0] for row in each]
    assert found.shifts.tolist() == [row["species"][1] for row in each]


@given(pairs(LABELS), st.integers(1, 29))
def test_rows_differ_alike_together_and_apart(rows: list[tuple[Any, Any]], at: int) -> None:
    live, other = [row[0] for row in rows], [row[1] for row in rows]
    whole = differences(live, other)
    parts = [differences(live[cut], other[cut]) for cut in (slice(0, at), slice(at, None)) if live[cut]]
    assert np.array_equal(np.concatenate([part.disagreed for part in parts]), whole.disagreed)
    assert np.array_equal(np.concatenate([part.shifts for part in parts]), whole.shifts)
