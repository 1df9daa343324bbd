"""Rows drawn from a contract: all of them are what a caller may send, and every boundary is among them."""

from collections.abc import Iterable

import numpy as np
import pytest

from gatehouse.contracts.contract import parse_contract
from gatehouse.serving.space import draw_rows, example_row, is_numeric, to_values

NUMBERS = """
format = 1
model = "m"
api_version = "v1"
[features.closed]
type = "number"
minimum = 0.1
maximum = 15
example = 5.2
[features.above]
type = "number"
exclusive_minimum = 0
nullable = true
example = 1
[features.below]
type = "number"
exclusive_maximum = -2.5
example = -3
[features.open]
type = "number"
example = 0
[features.count]
type = "integer"
exclusive_minimum = 0
exclusive_maximum = 10
required = false
default = 7
example = 2
[features.flag]
type = "boolean"
example = true
[output]
task = "regression"
"""
MIXED = """
format = 1
model = "m"
api_version = "v1"
[features.colour]
type = "category"
allowed = ["red", "green"]
nullable = true
example = "red"
[features.note]
type = "text"
example = "a few words"
[features.size]
type = "number"
minimum = 1
maximum = 2
example = 1.5
[output]
task = "regression"
"""


@pytest.fixture
def numbers():
    return parse_contract(NUMBERS.encode(), "test").features


@pytest.fixture
def mixed():
    return parse_contract(MIXED.encode(), "test").features


def _column(features, rows, name) -> list:
    place = [feature.name for feature in features].index(name)
    return [row[place] for row in rows]


def _present(cells: Iterable) -> list:
    return [cell for cell in cells if cell is not None]


def test_every_drawn_row_is_within_the_contract(numbers):
    rows = draw_rows(numbers, 3000, seed=1)
    assert all(0.1 <= cell <= 15 for cell in _column(numbers, rows, "closed"))
    assert all(cell > 0 for cell in _present(_column(numbers, rows, "above")))
    assert all(cell < -2.5 for cell in _column(numbers, rows, "below"))
    assert all(cell in range(1, 10) for cell in _column(numbers, rows, "count"))
    assert set(_column(numbers, rows, "flag")) == {False, True}


def test_boundaries_null_and_defaults_are_among_the_rows(numbers):
    rows = draw_rows(numbers, 10, seed=1)
    assert {0.1, 15} <= set(_column(numbers, rows, "closed"))
    assert None in _column(numbers, rows, "above")
    assert min(_present(_column(numbers, rows, "above"))) == np.nextafter(0, 1)
    assert max(_column(numbers, rows, "below")) == np.nextafter(-2.5, -3)
    assert {1, 7, 9} <= set(_column(numbers, rows, "count"))
    assert example_row(numbers) in rows


def test_an_open_bound_is_drawn_over_many_magnitudes(numbers):
    cells = np.array(_column(numbers, draw_rows(numbers, 3000, seed=1), "open"))
    assert cells.min() < -1e5
    assert cells.max() > 1e5
    assert (np.abs(cells) < 1).any()


def test_the_same_seed_draws_the_same_rows(numbers):
    assert draw_rows(numbers, 50, seed=1) == draw_rows(numbers, 50, seed=1)
    assert draw_rows(numbers, 50, seed=1) != draw_rows(numbers, 50, seed=2)


def test_numbers_become_doubles_with_nan_for_null(numbers):
    values = to_values(numbers, draw_rows(numbers, 100, seed=1))
    assert is_numeric(numbers)
    assert values.dtype == np.float64
    assert np.isnan(values[:, 1]).any()
    assert not np.isnan(values[:, [0, 2, 3, 4, 5]]).any()


def test_categories_and_text_make_an_object_table(mixed):
    rows = draw_rows(mixed, 100, seed=1)
    values = to_values(mixed, rows)
    assert not is_numeric(mixed)
    assert values.dtype == object
    assert set(_column(mixed, rows, "colour")) == {"red", "green", None}
    assert all(isinstance(cell, str) for cell in _column(mixed, rows, "note"))
    assert values[len(rows) - 1, 2] == 2


def test_open_bounds_are_drawn_from_the_samples_range_widened_by_half(numbers):
    ranges = {"open": (10.0, 30.0), "above": (4.0, 8.0), "below": (-9.0, -5.0), "closed": (1.0, 2.0), "flag": (0.0, 1.0)}
    rows = draw_rows(numbers, 3000, seed=1, ranges=ranges)
    drawn = {name: np.array([cell for cell in _column(numbers, rows, name) if cell is not None], dtype=float) for name in ranges}
    far = drawn["open"][np.abs(drawn["open"]) > 6]  # every third lies near the example, which is 0
    assert far.min() > 6
    assert 38 < far.max() <= 40
    assert drawn["above"].min() > 0
    assert 9 < drawn["above"].max() <= 10
    assert -11 <= drawn["below"].min() < -10
    assert drawn["below"].max() < -2.5
    assert drawn["closed"].max() > 14  # both bounds are written: the whole contract is tried
    assert draw_rows(numbers, 50, seed=1, ranges={}) == draw_rows(numbers, 50, seed=1)


@pytest.mark.parametrize("sampled", [(5.0, 5.0), (0.0, 0.0), (-3.0, -3.0), (-40.0, -30.0), (1e6, 2e6)])
def test_a_samples_range_may_be_one_number_or_lie_beyond_the_contracts_bound(numbers, sampled):
    for name in ("open", "above", "below"):
        cells = [cell for cell in _column(numbers, draw_rows(numbers, 200, seed=1, ranges={name: sampled}), name) if cell is not None]
        assert len(set(cells)) > 50
        assert name != "above" or min(cells) > 0
        assert name != "below" or max(cells) < -2.5
