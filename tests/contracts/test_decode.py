"""Good bodies in both shapes, and the two roads held against each other by hypothesis."""

import itertools
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gatehouse.contracts.contract import Contract, parse_contract
from gatehouse.contracts.decode import Decoded, Decoder
from gatehouse.contracts.fast_decode import FastDecoder
from gatehouse.contracts.pause import no_pause
from gatehouse.errors import Problem

ROW = {"sepal_length": 5.2, "sepal_width": 3.6, "petal_length": 1.5, "petal_width": 0.3}
MANY = 10_000
SENSORS, VISITS = (parse_contract((Path(__file__).parent / f"{name}.toml").read_bytes(), name) for name in ("sensors", "visits"))
FAST = {contract.model: FastDecoder(contract) for contract in (SENSORS, VISITS)}
BOTH = {contract.model: Decoder(contract) for contract in (SENSORS, VISITS)}


def encoded(body: object) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


def same(one: Any, other: Any) -> bool:
    """Equal cells: NaN equals NaN, and a bool or int is never a float."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    if one.dtype == np.float64:
        return bool(np.array_equal(one, other, equal_nan=True))
    return all(type(a) is type(b) and a == b for a, b in zip(one.flat, other.flat, strict=True))


def decode(decoder: Decoder, body: bytes) -> Decoded:
    """Decoded by both roads, which must agree."""
    decoded, strict = decoder.decode(body, MANY), decoder.decode_strictly(body, MANY)
    assert same(decoded.values, strict.values)
    assert (decoded.rows, decoded.outputs) == (strict.rows, strict.outputs)
    return decoded


def test_records_become_a_matrix_in_contract_order(flower_decoder: Decoder) -> None:
    backwards = dict(reversed(ROW.items()))
    decoded = decode(flower_decoder, encoded({"instances": [ROW, backwards]}))
    assert decoded.rows == 2
    assert decoded.values.tolist() == [[5.2, 3.6, 1.5, 0.3]] * 2
    assert decoded.values.dtype == np.float64
    assert decoded.values.flags.c_contiguous
    assert decoded.outputs == ("label", "confidence", "probabilities")


def test_columns_may_stand_in_any_order_and_data_before_columns(flower_decoder: Decoder) -> None:
    decoded = decode(
        flower_decoder, encoded({"data": [[0.3, 5.2, 1.5, 3.6]], "columns": ["petal_width", "sepal_length", "petal_length", "sepal_width"]})
    )
    assert decoded.values.tolist() == [[5.2, 3.6, 1.5, 0.3]]
    assert decoded.values.flags.c_contiguous


def test_more_orders_of_columns_than_are_kept_all_decode(flower_decoder: Decoder) -> None:
    for names in itertools.permutations(ROW):
        decoded = decode(flower_decoder, encoded({"columns": names, "data": [[ROW[name] for name in names]]}))
        assert decoded.values.tolist() == [[5.2, 3.6, 1.5, 0.3]]


@pytest.mark.parametrize(
    ("asked", "given"),
    [(["probabilities", "label"], ("label", "probabilities")), (["label", "label"], ("label",)), (["confidence"], ("confidence",))],
)
def test_outputs_narrow_the_answer_in_contract_order(flower_decoder: Decoder, asked: list[str], given: tuple[str, ...]) -> None:
    assert decode(flower_decoder, encoded({"outputs": asked, "instances": [ROW]})).outputs == given
    assert decode(flower_decoder, encoded({"columns": list(ROW), "data": [list(ROW.values())], "outputs": asked})).outputs == given


@pytest.mark.parametrize("text", ["5", "5.0", "5e0", "50E-1", "500e-2"])
def test_an_integer_field_takes_every_spelling_of_a_whole_number(sensor_decoder: Decoder, visit_decoder: Decoder, text: str) -> None:
    assert decode(sensor_decoder, b'{"instances": [{"temperature": 1, "count": %s}]}' % text.encode()).values[0, 1] == 5.0
    cell = decode(visit_decoder, b'{"instances": [{"spend": 1, "member": true, "children": %s}]}' % text.encode()).values[0, 1]
    assert cell == 5
    assert type(cell) is int


@pytest.mark.parametrize("value", [2**53, -(2**53), 2**53 - 1, 0])
def test_integers_are_exact_to_their_last_digit(sensor_decoder: Decoder, value: int) -> None:
    assert int(decode(sensor_decoder, encoded({"instances": [{"temperature": 1, "count": value}]})).values[0, 1]) == value


def test_null_and_absent_are_nan_or_the_default(sensor_decoder: Decoder) -> None:
    values = decode(
        sensor_decoder, b'{"instances": [{"temperature": null, "count": 1}, {"temperature": 2, "count": 3, "active": true, "pressure": 4}]}'
    ).values
    assert math.isnan(values[0, 0])
    assert math.isnan(values[0, 3])
    assert values[0, 1:3].tolist() == [1, 0]
    assert values[1].tolist() == [2, 3, 1, 4]
    columns = decode(sensor_decoder, b'{"columns": ["count", "temperature"], "data": [[1, null]]}').values
    assert same(columns, values[:1])


def test_mixed_rows_hold_python_values(visit_decoder: Decoder) -> None:
    body = {"instances": [{"spend": None, "member": False}, {"spend": 3, "member": True, "children": 4, "colour": "été", "note": None}]}
    decoded = decode(visit_decoder, encoded(body))
    assert decoded.values.tolist() == [[None, 2, False, "a:b", None], [3.0, 4, True, "été", None]]
    assert [type(cell) for cell in decoded.values[1]] == [float, int, bool, str, type(None)]
    assert same(decode(visit_decoder, json.dumps(body).encode()).values, decoded.values)


@pytest.mark.parametrize("text", ["a: b: c", 'say "hi"', "back\\slash", "é\u200d😀", "twelve chars", "😀" * 12, "tab\there", "<{[,]}>", ""])
def test_texts_come_through_unchanged(visit_decoder: Decoder, text: str) -> None:
    for ascii_only in (True, False):
        body = json.dumps({"instances": [{"spend": 1, "member": True, "note": text}]}, ensure_ascii=ascii_only).encode()
        assert decode(visit_decoder, body).values[0, 4] == text


def test_what_pandas_writes_for_split_without_index_is_the_columns_shape(flower_decoder: Decoder) -> None:
    written = b'{"columns":["sepal_length","sepal_width","petal_length","petal_width"],"data":[[5.2,3.6,1.5,0.3],[5,3,1,0.1]]}'
    assert decode(flower_decoder, written).values.tolist() == [[5.2, 3.6, 1.5, 0.3], [5, 3, 1, 0.1]]


@pytest.mark.parametrize(
    ("shape", "contract_name"),
    [
        ("records", "flowers"),
        ("columns", "flowers"),
        ("records", "visits"),
        ("columns", "visits"),
        ("records", "sensors"),
        ("columns", "sensors"),
    ],
)
def test_the_fast_road_takes_ordinary_bodies(request: pytest.FixtureRequest, shape: str, contract_name: str) -> None:
    contract: Contract = request.getfixturevalue(contract_name)
    row = {feature.name: feature.example for feature in contract.features}
    body = {"instances": [row] * 3} if shape == "records" else {"columns": list(row), "data": [list(row.values())] * 3}
    assert FastDecoder(contract).decode(encoded(body), 3) is not None


def test_the_fast_road_takes_absent_fields_and_whole_numbers_with_a_point(sensors: Contract) -> None:
    assert FastDecoder(sensors).decode(b'{"instances": [{"temperature": null, "count": 5.0}]}', 1) is not None


def test_the_largest_number_of_rows_passes_and_one_more_does_not(flower_decoder: Decoder) -> None:
    assert flower_decoder.decode(encoded({"instances": [ROW] * 50}), 50).rows == 50
    with pytest.raises(Problem):
        flower_decoder.decode(encoded({"instances": [ROW] * 51}), 50)


numbers = st.one_of(st.floats(0.1, 15), st.integers(1, 15))
flower_rows = st.lists(st.fixed_dictionaries(dict.fromkeys(ROW, numbers)), min_size=1, max_size=6)
plain_texts = st.text(max_size=12).filter(lambda text: "\0" not in text)
safe_texts = plain_texts.filter(lambda text: not any("\ud800" <= character <= "\udfff" for character in text))
visit_rows = st.lists(
    st.fixed_dictionaries(
        {"spend": st.one_of(st.none(), st.floats(-99, 3.4e38), st.integers(-99, 10**30)), "member": st.booleans()},
        optional={
            "children": st.one_of(st.integers(0, 20), st.integers(0, 20).map(float)),
            "colour": st.sampled_from(["red", "café", "a:b", "été"]),
            "note": st.one_of(st.none(), safe_texts),
        },
    ),
    min_size=1,
    max_size=6,
)
sensor_rows = st.lists(
    st.fixed_dictionaries(
        {"temperature": st.one_of(st.none(), st.floats(-3.4e38, 3.4e38)), "count": st.integers(-(2**53), 2**53)},
        optional={"active": st.booleans(), "pressure": st.one_of(st.none(), st.floats(0, 2000, exclude_min=True, exclude_max=True))},
    ),
    min_size=1,
    max_size=6,
)


def expected(contract: Contract, rows: list[dict[str, Any]]) -> Any:
    """The matrix, made without the code under test."""
    cells = [[row.get(feature.name, feature.default) for feature in contract.features] for row in rows]
    if contract.numeric:
        return np.array([[math.nan if cell is None else float(cell) for cell in row] for row in cells])
    kinds = {"number": float, "integer": int}
    matrix = np.empty((len(rows), len(contract.features)), object)
    for index, row in enumerate(cells):
        for position, (cell, feature) in enumerate(zip(row, contract.features, strict=True)):
            matrix[index, position] = cell if cell is None else kinds.get(feature.type, lambda same: same)(cell)
    return matrix


@pytest.mark.parametrize(("name", "strategy"), [("flowers", flower_rows), ("visits", visit_rows), ("sensors", sensor_rows)])
def test_valid_rows_come_through_in_both_shapes_on_both_roads(
    request: pytest.FixtureRequest, name: str, strategy: st.SearchStrategy[Any]
) -> None:
    contract: Contract = request.getfixturevalue(name)
    decoder = Decoder(contract)

    @settings(max_examples=150, deadline=None)
    @given(rows=strategy, ascii_only=st.booleans(), shuffled=st.permutations(contract.names))
    def holds(rows: list[dict[str, Any]], ascii_only: bool, shuffled: list[str]) -> None:
        wanted = expected(contract, rows)
        records = json.dumps({"instances": rows}, ensure_ascii=ascii_only).encode()
        assert same(decode(decoder, records).values, wanted)
        # one list of columns serves all rows, so every row gets the fields of the first
        names = [column for column in shuffled if column in rows[0]]
        even = [{column: row.get(column, rows[0][column]) for column in names} for row in rows]
        columns = json.dumps(
            {"columns": names, "data": [[row[column] for column in names] for row in even]}, ensure_ascii=ascii_only
        ).encode()
        assert same(decode(decoder, columns).values, expected(contract, even))

    holds()


@settings(max_examples=400, deadline=None)
@given(
    text=st.one_of(
        st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
        st.floats(allow_nan=False, allow_infinity=False).map(repr),
    )
)
@example(text="-0")
@example(text="-0.0")
@example(text="9007199254740993")
@example(text="9007199254740990.5")
@example(text="3.4028234663852887e38")
@example(text="5e-324")
@example(text="2.4703282292062327e-324")
def test_a_number_is_read_as_the_nearest_double_on_both_roads(text: str) -> None:
    body = b'{"instances": [{"temperature": %s, "count": %s}]}' % (text.encode(), text.encode())
    agree(SENSORS, body)
    body = b'{"instances": [{"temperature": %s, "count": 1}]}' % text.encode()
    taken = agree(SENSORS, body)
    if taken is not None:
        assert taken[0, 0] == float(text)


def agree(contract: Contract, body: bytes) -> Any:
    """Whatever the fast road takes, the strict one takes with equal values; nothing but a Problem is raised."""
    fast = FAST[contract.model].decode(body, MANY)
    strict = strictly(BOTH[contract.model], body)
    assert fast is None or strict is not None, "the fast road took what the strict one refuses"
    if strict is None:
        return None
    if fast is not None:
        assert same(fast[0], strict.values)
        assert fast[1] == strict.outputs
    return strict.values


def strictly(decoder: Decoder, body: bytes) -> Decoded | None:
    """What the strict road makes of a body, None where it refuses."""
    try:
        return decoder.decode_strictly(body, MANY)
    except Problem:
        return None


MUTATIONS = st.sampled_from(
    [
        (rb"[0-9.]+", b"NaN"),
        (rb"[0-9.]+", b"Infinity"),
        (rb"[0-9.]+", b"1e999"),
        (rb"[0-9.]+", b"9" * 400),
        (rb"[0-9.]+", b"9007199254740993"),
        (rb"[0-9.]+", b"5.0"),
        (rb"[0-9.]+", b"1e39"),
        (rb"[0-9.]+", b"true"),
        (rb"[0-9.]+", b"null"),
        (rb"[0-9.]+", b'"5"'),
        (rb"[0-9.]+", b"[1]"),
        (rb"[0-9.]+", b"-0"),
        (rb": ", b" \t\r\n:\n"),
        (rb": ", b":\x0b"),
        (rb", ", b",,"),
        (rb", ", b" "),
        (rb"\{", b'{"member": true, '),
        (rb"\{", b'{"spend": 1, '),
        (rb"\{", b'{"note": "a:b:c", '),
        (rb"\{", b'{"colour": "a:b", '),
        (rb"\{", b'{"sepal_length": 1, '),
        (rb"\{", b'{"count": 1, '),
        (rb"\{", b'{"unknown": 1, '),
        (rb"\{", b'{"outputs": ["value"], '),
        (rb"\{", b'{"outputs": ["label"], '),
        (rb"\{", b'{"data": [], '),
        (rb"\{", b'{"columns": ["count", "temperature"], '),
        (rb"\}", b", }"),
        (rb"\}", b""),
        (rb"\]", b"],"),
        (rb"\[", b"[{}, "),
        (rb'"member"', rb'"\\u006dember"'),
        (rb'"[a-z_]+"', b'"member"'),
        (rb'"[a-z_]+"', rb'"\\ud800"'),
        (rb'"[a-z_]+"', rb'"\\ud83d\\ude00"'),
        (rb'"[a-z_]+"', b'"\xed\xa0\x80"'),
        (rb'"[a-z_]+"', b'"\xff"'),
        (rb'"[a-z_]+"', b'"a\x01"'),
        (rb"$", b" x"),
        (rb"$", b"\x00"),
        (rb"^", b"\xef\xbb\xbf"),
        (rb"^", b" \n"),
    ]
)
SPLICE = st.tuples(
    st.integers(0, 400),
    st.integers(0, 3),
    st.one_of(st.binary(max_size=3), st.sampled_from([b":", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b"0", b"e5", b"-"])),
)


@pytest.mark.parametrize(("name", "strategy"), [("flowers", flower_rows), ("visits", visit_rows), ("sensors", sensor_rows)])
def test_row_65_the_fast_road_never_takes_what_the_strict_one_refuses(
    request: pytest.FixtureRequest, name: str, strategy: st.SearchStrategy[Any]
) -> None:
    contract: Contract = request.getfixturevalue(name)
    fast, decoder = FastDecoder(contract), Decoder(contract)

    @settings(max_examples=600, deadline=None)
    @given(
        rows=strategy,
        columns=st.booleans(),
        mutations=st.lists(st.tuples(MUTATIONS, st.integers(0, 30)), min_size=1, max_size=3),
        splice=st.none() | SPLICE,
        slice_bytes=st.integers(1, 300),
    )
    def holds(
        rows: list[dict[str, Any]],
        columns: bool,
        mutations: list[tuple[tuple[bytes, bytes], int]],
        splice: tuple[int, int, bytes] | None,
        slice_bytes: int,
    ) -> None:
        names = list(rows[0])
        data = [[row.get(column, rows[0][column]) for column in names] for row in rows]
        body = encoded({"columns": names, "data": data} if columns else {"instances": rows})
        for (pattern, replacement), which in mutations:
            body = mutated(body, pattern, replacement, which)
        if splice is not None:
            at = splice[0] % (len(body) + 1)
            body = body[:at] + splice[2] + body[at + splice[1] :]
        taken = fast.decode(body, MANY)
        in_steps = FastDecoder(contract, slice_bytes).decode_in_steps(body, MANY, no_pause)
        strict = strictly(decoder, body)
        assert (taken is None and in_steps is None) or strict is not None
        if strict is None:
            return
        if in_steps is not None:
            assert same(in_steps[0], strict.values)
            assert in_steps[1:] == (strict.outputs, strict.columns, strict.narrowed)
        reference = json.loads(body)
        assert set(reference) <= {"instances", "columns", "data", "outputs"}
        if taken is not None:
            assert same(taken[0], strict.values)
            assert taken[1:] == (strict.outputs, strict.columns, strict.narrowed)

    holds()


def mutated(body: bytes, pattern: bytes, replacement: bytes, which: int) -> bytes:
    """The body with one occurrence of the pattern replaced."""
    places = list(re.finditer(pattern, body))
    if not places:
        return body
    place = places[which % len(places)]
    return body[: place.start()] + replacement + body[place.end() :]


@settings(max_examples=1000, deadline=None)
@given(
    body=st.one_of(
        st.binary(max_size=200),
        st.text(alphabet='{}[]",:\\truefalsn0123456789.-+eEuds_ columdata', max_size=80).map(lambda text: text.encode("utf-8")),
    )
)
def test_row_65_arbitrary_bytes_end_in_a_problem_and_nothing_else(body: bytes) -> None:
    for contract in (SENSORS, VISITS):
        agree(contract, body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["instances", "columns", "data", "outputs", "spend", "member", "x/~"]), inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(max_examples=600, deadline=None)
@given(document=json_values)
def test_row_66_any_json_ends_in_rows_or_a_problem(document: Any) -> None:
    body = json.dumps(document).encode()
    agree(VISITS, body)
    agree(SENSORS, body)
