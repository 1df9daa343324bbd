"""Rows of numbers by simdjson, held against Python's own reader: whatever it takes is a good list of good rows, to the last bit."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gatehouse.contracts.contract import Contract, parse_contract
from gatehouse.contracts.number_rows import NumberRows

HEAD = 'format = 1\nmodel = "bench"\napi_version = "v1"\n[output]\ntask = "regression"\n'
FIELDS = """
[features.share]
type = "number"
exclusive_minimum = 0
exclusive_maximum = 1
example = 0.5
[features.count]
type = "integer"
example = 7
[features.level]
type = "number"
minimum = -10
maximum = 10
example = 1.5
"""
CONTRACT = parse_contract((HEAD + FIELDS).encode(), "bench")
ROWS = NumberRows(CONTRACT.features)
SMALLEST = 5e-324


def accepted(text: bytes) -> list[list[Any]] | None:
    """What Python's reader and the contract say of it."""

    def refuse(_name: str) -> None:
        raise ValueError

    try:
        rows = json.loads(text, parse_constant=refuse)
    except ValueError:
        return None
    if type(rows) is not list or not all(type(row) is list and len(row) == len(CONTRACT.features) for row in rows):
        return None
    return rows if all(fits(cell, feature) for row in rows for cell, feature in zip(row, CONTRACT.features, strict=True)) else None


def fits(cell: Any, feature: Any) -> bool:
    if type(cell) not in (int, float):
        return False
    (low, above), (high, below) = feature.lowest, feature.highest
    inside = (low < cell if above else low <= cell) and (cell < high if below else cell <= high)
    return bool(inside and (feature.type != "integer" or (cell == math.floor(cell) and abs(cell) < 2**53)))


def bits(rows: list[list[Any]]) -> bytes:
    return np.array(rows, np.float64).tobytes()


shares = st.floats(0, 1, exclude_min=True, exclude_max=True)
counts = st.integers(1 - 2**53, 2**53 - 1)
levels = st.one_of(st.floats(-10, 10), st.integers(-10, 10))
good_rows = st.lists(st.tuples(shares, counts, levels).map(list), min_size=1, max_size=6)


@given(good_rows)
def test_good_rows_are_taken_to_the_last_bit(rows: list[list[Any]]) -> None:
    matrix = ROWS.read(json.dumps(rows).encode())
    assert matrix is not None
    assert matrix.dtype == np.float64
    assert (matrix + 0.0).tobytes() == bits([[cell + 0.0 for cell in row] for row in rows])


@given(good_rows, st.data())
@example([[0.5, 7, 1.5]], None)
def test_whatever_is_taken_is_good(rows: list[list[Any]], data: st.DataObject | None) -> None:
    text = bytearray(json.dumps(rows).encode())
    if data is not None:
        for _ in range(data.draw(st.integers(1, 3))):
            at = data.draw(st.integers(0, len(text)))
            text[at : at + data.draw(st.integers(0, 3))] = data.draw(st.sampled_from(INSERTED))
    matrix, known = ROWS.read(bytes(text)), accepted(bytes(text))
    if matrix is not None:
        assert known is not None
        assert (matrix + 0.0).tobytes() == (np.array(known, np.float64) + 0.0).tobytes()


INSERTED = [
    b"",
    b"[",
    b"]",
    b"],[",
    b"[]",
    b",",
    b"1",
    b"0",
    b"-",
    b".",
    b"e9",
    b"true",
    b"null",
    b'"',
    b'"1"',
    b"{}",
    b":",
    b" ",
    b"\n",
    b"9" * 20,
]

BAD = {
    "a list in a row": b"[[0.5,7,[1.5]]]",
    "a list around the rows": b"[[[0.5,7,1.5]]]",
    "a row that is short, behind one that is long": b"[[0.5,7,1.5,0.5],[7,1.5]]",
    "a row in a row": b"[[0.5,7,1.5],[[0.5,7,1.5]]]",
    "an empty row": b"[[]]",
    "no list": b"0.5",
    "an object": b'{"a":[0.5,7,1.5]}',
    "numbers without rows": b"[0.5,7,1.5]",
    "true": b"[[0.5,true,1.5]]",
    "null": b"[[0.5,7,null]]",
    "a text": b'[[0.5,7,"1.5"]]',
    "NaN": b"[[0.5,7,NaN]]",
    "more than a float holds": b"[[0.5,7,1e400]]",
    "an integer of twenty digits": b"[[0.5,99999999999999999999,1.5]]",
    "an integer that is not exact": b"[[0.5,9007199254740992,1.5]]",
    "half an integer": b"[[0.5,7.5,1.5]]",
    "a number begun with zero": b"[[0.5,07,1.5]]",
    "a comma too many": b"[[0.5,7,1.5],]",
    "more behind it": b"[[0.5,7,1.5]] []",
    "not UTF-8": b"[[0.5,7,1.5\xff]]",
    "nothing": b"",
    "a NUL": b"[[0.5,7,1.5]]\0",
    "the exclusive minimum": b"[[0,7,1.5]]",
    "the exclusive maximum": b"[[1.0,7,1.5]]",
    "below the minimum": b"[[0.5,7,-10.000000000000002]]",
    "above the maximum": b"[[0.5,7,10.000000000000002]]",
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_good_is_left_to_the_strict_decoder(name: str) -> None:
    assert ROWS.read(BAD[name]) is None
    assert accepted(BAD[name]) is None


def test_the_bounds_themselves() -> None:
    edges = [[SMALLEST, 1 - 2**53, -10], [1 - 2**-53, 2**53 - 1, 10], [0.5, -0.0, 1e1]]
    matrix = ROWS.read(json.dumps(edges).encode())
    assert matrix is not None
    assert matrix.tolist() == edges


def test_only_numbers_that_must_be_there_fit(sensors: Contract, flowers: Contract, visits: Contract) -> None:
    assert NumberRows.fits(flowers.features)
    assert NumberRows.fits(CONTRACT.features)
    assert not NumberRows.fits(sensors.features)
    assert not NumberRows.fits(visits.features)
    assert [NumberRows.fits([feature]) for feature in sensors.features] == [False, True, False, False]
