"""What a small body can make the decoder do on the event loop is bounded; both roads agree at the edges of numbers."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatehouse.contracts import names
from gatehouse.contracts.contract import Contract, parse_contract
from gatehouse.contracts.decode import INLINE_BYTES, INLINE_CELLS, Decoder
from gatehouse.errors import InvalidInput


def _contract(fields: int, kind: str = "number", more: str = "") -> Contract:
    features = "".join(f'[features.field_{n}]\ntype = "{kind}"\nexample = 1\n{more}' for n in range(fields))
    source = f'format = 1\nmodel = "wide"\napi_version = "v1"\n{features}[output]\ntask = "regression"\n'
    return parse_contract(source.encode(), "test")


def _decoder(fields: int, kind: str = "number", more: str = "") -> Decoder:
    return Decoder(_contract(fields, kind, more))


def test_row_54_misspelt_names_are_compared_a_few_times_only(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    compare = names.difflib.get_close_matches

    def counted(written: str, known: object, n: int = 3) -> list[str]:
        asked.append(len(list(known)))  # type: ignore[call-overload]
        return compare(written, known, n=n)  # type: ignore[arg-type]

    monkeypatch.setattr(names.difflib, "get_close_matches", counted)
    for fields in (30, 500):
        decoder = _decoder(fields)
        misspelt = [f"feild_{n}" for n in range(fields)]
        for body in ({"columns": misspelt, "data": [[1] * fields]}, {"instances": [dict.fromkeys(misspelt, 1)]}):
            with pytest.raises(InvalidInput):
                decoder.decode(json.dumps(body).encode(), 10)
    assert len(asked) <= 12
    assert max(asked) <= names.MOST_COMPARED


def test_row_63_a_small_body_of_many_cells_is_not_for_the_event_loop() -> None:
    wide = _decoder(300, more="required = false\nnullable = true\n")
    body = b'{"instances": [' + b",".join([b"{}"] * 1_000) + b"]}"
    assert len(body) < INLINE_BYTES
    assert not wide.fits_inline(body)
    assert wide.decode(body, 1_000).values.size > INLINE_CELLS
    assert wide.fits_inline(b'{"instances": [{}]}')
    assert not _decoder(1).fits_inline(b" " * (INLINE_BYTES + 1))


@pytest.mark.parametrize(
    "number", [str(2**128 - 2**103), "340282346638528859811704183484516925441", "3.4028235677973366e38", "1e39", "1e308"]
)
@pytest.mark.parametrize("sign", ["", "-"])
def test_both_roads_agree_on_numbers_at_the_end_of_float32(number: str, sign: str) -> None:
    decoder = _decoder(1)
    body = f'{{"instances": [{{"field_0": {sign}{number}}}]}}'.encode()
    assert _outcome(lambda: decoder.decode(body, 1).values) == _outcome(lambda: decoder.decode_strictly(body, 1).values)


@pytest.mark.parametrize("number", ["-0.0", "-0", "-1e-400", "0"])
def test_an_integer_has_no_negative_zero(number: str) -> None:
    decoder = _decoder(1, "integer")
    body = f'{{"instances": [{{"field_0": {number}}}]}}'.encode()
    for values in (decoder.decode(body, 1).values, decoder.decode_strictly(body, 1).values):
        assert not np.signbit(values).any()


def _outcome(decode: object) -> object:
    try:
        return decode().tobytes()  # type: ignore[operator]
    except InvalidInput as refused:
        return refused.members["errors"][0]["code"]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9), st.integers(0, 200), st.text("{[]} x", max_size=80))
def test_a_body_is_inline_whether_or_not_its_brackets_have_to_be_counted(fields: int, cells: int, text: str) -> None:
    body, contract = text.encode(), _contract(fields)
    assert Decoder(contract, cells).fits_inline(body) == (max(body.count(b"{"), body.count(b"[")) * fields <= cells)
