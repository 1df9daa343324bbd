"""A body that is decoded slice by slice gives what the whole gives, wherever it is cut; and no step is long."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatehouse.contracts import row_slices
from gatehouse.contracts.contract import parse_contract
from gatehouse.contracts.decode import Decoder
from gatehouse.contracts.fast_decode import FastDecoder
from gatehouse.contracts.pause import no_pause
from gatehouse.contracts.row_slices import FRAME_BYTES, LONGEST_ROW_BYTES, SLICE_BYTES, SLICE_CELLS, cut
from gatehouse.errors import InvalidInput, InvalidJson

FLOWERS, VISITS, SENSORS = (
    parse_contract((Path(__file__).parent / f"{name}.toml").read_bytes(), name) for name in ("flowers", "visits", "sensors")
)
ROW = {"sepal_length": 5.2, "sepal_width": 3.6, "petal_length": 1.5, "petal_width": 0.3}
VISIT = {"spend": 12.5, "children": 1, "member": True, "colour": "red", "note": "hello"}
MANY = 10_000
SEPARATORS = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t: "), ("\r\n, ", " : ")])
OUTPUTS = st.sampled_from([None, ["label"], ["probabilities", "label"]])


def rows_of(count: int) -> list[dict[str, float]]:
    return [{name: round(value + n / 1000, 3) for name, value in ROW.items()} for n in range(count)]


def body_of(members: dict[str, Any], order: list[int], separators: tuple[str, str]) -> bytes:
    """The members in another order."""
    names = sorted(members, key=lambda name: order[list(members).index(name)])
    return json.dumps({name: members[name] for name in names}, separators=separators, indent=None).encode()


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 60), st.booleans(), OUTPUTS, st.permutations(range(3)), SEPARATORS, st.integers(1, 2_000))
def test_any_layout_in_any_slicing_gives_the_same_as_the_whole(
    count: int, columns: bool, outputs: list[str] | None, order: list[int], separators: tuple[str, str], slice_bytes: int
) -> None:
    rows = rows_of(count)
    members: dict[str, Any] = {"columns": list(ROW), "data": [list(row.values()) for row in rows]} if columns else {"instances": rows}
    if outputs:
        members["outputs"] = outputs
    body = body_of(members, order, separators)
    whole = FastDecoder(FLOWERS).decode(body, MANY)
    in_steps = FastDecoder(FLOWERS, slice_bytes).decode_in_steps(body, MANY, no_pause)
    assert whole is not None
    assert in_steps is not None, "a good body is cut, whatever its layout"
    assert np.array_equal(whole[0], in_steps[0])
    assert whole[1] == in_steps[1]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(st.sampled_from('}{][,: a"é'), max_size=8), min_size=2, max_size=12), st.booleans(), st.integers(1, 200))
def test_texts_that_look_like_borders_are_never_cut(notes: list[str], columns: bool, slice_bytes: int) -> None:
    rows = [VISIT | {"note": note} for note in notes]
    given_rows = {"columns": list(VISIT), "data": [list(row.values()) for row in rows]} if columns else {"instances": rows}
    body = json.dumps(given_rows, ensure_ascii=False).encode()
    strict = Decoder(VISITS).decode_strictly(body, MANY)
    in_steps = FastDecoder(VISITS, slice_bytes).decode_in_steps(body, MANY, no_pause)
    assert strict.values[:, -1].tolist() == notes
    assert in_steps is None or in_steps[0].tolist() == strict.values.tolist()


RECORDS = b'{"instances": [' + b", ".join([json.dumps(ROW).encode()] * 3) + b"]}"
FRAMES = [
    RECORDS[:-1] + b', "instances": []}',
    RECORDS[:-1] + b', "data": []}',
    RECORDS[:-1] + b', "outputs": ["label"], "outputs": ["label"]}',
    RECORDS[:-1] + b', "other": 1}',
    RECORDS[:-2] + b", ]}",
    RECORDS[:-2] + b",, {}]}",
    RECORDS[:-1] + b"]}",
    RECORDS + b" {}",
    b'{"data": ' + RECORDS + b"}",
    b"[" + RECORDS + b"]",
    RECORDS.replace(b"}, {", b"} {", 1),
    RECORDS.replace(b"}, {", b"}, 1, {", 1),
    RECORDS.replace(b"}, {", b", {", 1),
    RECORDS.replace(b'"sepal_length": 5.2', b'"sepal_length": 5.2, "sepal_length": 5.2', 1),
    b'{"columns": ["sepal_length"], "data": [[1], [1]]}',
    b'{"data": [[1, 2, 3, 4], [1, 2, 3]], "columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"]}',
]


@pytest.mark.parametrize("body", FRAMES)
@pytest.mark.parametrize("slice_bytes", [1, 90, SLICE_BYTES])
def test_row_65_what_the_strict_road_refuses_is_refused_in_slices_with_the_same_words(body: bytes, slice_bytes: int) -> None:
    assert FastDecoder(FLOWERS, slice_bytes).decode_in_steps(body, MANY, no_pause) is None
    decoder = Decoder(FLOWERS)
    with pytest.raises((InvalidJson, InvalidInput)) as whole:
        decoder.decode(body, MANY)
    with pytest.raises((InvalidJson, InvalidInput)) as in_steps:
        decoder.decode_in_steps(body, MANY, no_pause)
    assert (in_steps.value.detail, in_steps.value.members) == (whole.value.detail, whole.value.members)


def test_row_54_one_row_too_many_is_found_in_slices_as_well() -> None:
    body = json.dumps({"instances": rows_of(2_001)}).encode()
    assert Decoder(FLOWERS).decode_in_steps(body, 2_001, no_pause).rows == 2_001
    with pytest.raises(InvalidInput) as refused:
        Decoder(FLOWERS).decode_in_steps(body, 2_000, no_pause)
    assert refused.value.members["errors"][0]["code"] == "too_many_rows"


def sizes(body: bytes, width: int) -> list[int]:
    taken = cut(body)
    assert taken is not None
    return [len(part or b"") for part in taken.slices(width, SLICE_BYTES)]


def test_row_63_slices_are_short_in_bytes_and_in_the_cells_that_they_become() -> None:
    found = sizes(json.dumps({"instances": rows_of(5_000)}).encode(), 4)
    assert len(found) > 10
    assert max(found) < SLICE_BYTES + 200
    taken = cut(b'{"instances": [' + b",".join([b"{}"] * 5_000) + b"]}")
    assert taken is not None
    assert max((part or b"").count(b"{") * 300 for part in taken.slices(300, SLICE_BYTES)) < SLICE_CELLS + 2 * 300


@pytest.mark.parametrize("road", ["records", "columns", "strict records", "strict columns"])
def test_row_63_the_decoder_pauses_often_on_every_road(road: str) -> None:
    rows = rows_of(5_000)
    columns = {"columns": list(ROW), "data": [list(row.values()) for row in rows]}
    body = json.dumps(columns if "columns" in road else {"instances": rows}).encode()
    if "strict" in road:
        body = body.replace(b"sepal_length", rb"sepal\u005flength")
    pauses: list[int] = []
    assert Decoder(FLOWERS).decode_in_steps(body, MANY, lambda: pauses.append(1)).rows == 5_000
    assert len(pauses) >= (5_000 if "strict" in road else len(body) // SLICE_BYTES)


def test_a_body_whose_rows_are_not_found_near_its_ends_or_are_very_long_is_left_to_the_strict_road() -> None:
    far = b'{"columns": [' + b" " * FRAME_BYTES + b'"a"], "data": [[1]]}'
    assert cut(far) is None
    assert cut(b'{"data": [[1]], "columns": [' + b" " * FRAME_BYTES + b'"a"]}') is None
    long = json.dumps({"instances": [ROW, ROW]}).encode().replace(b"5.2", b" " * (LONGEST_ROW_BYTES + SLICE_BYTES) + b"5.2")
    taken = cut(long)
    assert taken is not None
    assert list(taken.slices(4, SLICE_BYTES)) == [None]
    assert Decoder(FLOWERS).decode_in_steps(long, MANY, no_pause).rows == 2


def test_a_good_body_never_needs_the_strict_road(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = Decoder(SENSORS)
    monkeypatch.setattr(decoder, "decode_strictly", None)
    body = json.dumps({"instances": [{"temperature": n / 7, "count": n} for n in range(3_000)]}).encode()
    assert len(body) > 2 * row_slices.SLICE_BYTES
    assert decoder.decode_in_steps(body, MANY, no_pause).rows == 3_000
