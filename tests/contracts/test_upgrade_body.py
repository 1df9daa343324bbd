"""A translated body: decoded by the newer contract it is just what the rules make, in the shape that was sent."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from upgrade_pairs import pairs
from upgrade_text import CM, COUNT, LABELS, MM, NAME, SIZE, contract, rules_text

from gatehouse.contracts.contract import Contract
from gatehouse.contracts.decode import Decoder
from gatehouse.contracts.drawing import draw_cells
from gatehouse.contracts.upgrade import Upgrade, bind_upgrade
from gatehouse.contracts.upgrade_body import upgraded_body
from gatehouse.contracts.upgrade_proof import matrix
from gatehouse.errors import BodyTooLarge, InvalidInput

MANY = 10_000
MIB = 1024 * 1024
TARGETS = """[output]
task = "multioutput"
returns = ["rent", "noise"]
[output.targets.rent]
task = "regression"
[output.targets.noise]
task = "regression"
"""
VALUE = '[output]\ntask = "regression"\n'


def body_of(old: Contract, rows: list[list[Any]], *, columns: bool) -> bytes:
    if columns:
        return json.dumps({"columns": list(old.names), "data": rows}).encode()
    return json.dumps({"instances": [dict(zip(old.names, row, strict=True)) for row in rows]}).encode()


def translated(bound: Upgrade, body: bytes | dict[str, Any]) -> dict[str, Any]:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    found: dict[str, Any] = json.loads(b"".join(upgraded_body(bound, Decoder(bound.old).decode(sent, MANY), MIB)))
    return found


def bits(values: Any) -> list[Any]:
    """Cells, in which -0.0 is not 0.0 and an integer no double."""
    return [[(type(cell), cell.hex() if isinstance(cell, float) else cell) for cell in row] for row in values.tolist()]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(pairs(), st.booleans(), st.booleans())
def test_what_the_newer_contract_decodes_is_bit_for_bit_what_the_rules_make(bound: Upgrade, columns: bool, strictly: bool) -> None:
    cells = draw_cells(bound.old.features, 10, 5)
    upgraded = bound.columns(matrix(bound.old.features, cells))
    good = [row for row, valid in zip(cells, upgraded.valid, strict=True) if valid]
    if not good:
        return
    old, new = Decoder(bound.old), Decoder(bound.new)
    sent = old.decode(body_of(bound.old, good, columns=columns), MANY)
    body = b"".join(upgraded_body(bound, sent, MIB))

    decoded = (new.decode_strictly if strictly else new.decode)(body, MANY)
    assert bits(decoded.values) == bits(bound.columns(sent.values).values)
    assert (decoded.columns is not None) == columns


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(pairs(), st.booleans())
def test_a_row_that_fails_is_refused_with_a_pointer_into_the_body_that_was_sent(bound: Upgrade, columns: bool) -> None:
    cells = draw_cells(bound.old.features, 10, 5)
    failing = [row for row in cells if bound.row(row)[1]]
    if not failing:
        return
    body = body_of(bound.old, failing[:1], columns=columns)
    with pytest.raises(InvalidInput) as refused:
        upgraded_body(bound, Decoder(bound.old).decode(body, MANY), MIB)
    for error in refused.value.members["errors"]:
        place: Any = json.loads(body)
        for step in error["pointer"].split("/")[1:]:
            place = place[int(step) if isinstance(place, list) else step]
        assert error["code"].startswith("upgrade_")


def bound_with(old_output: str, new_output: str, answer: str = "", options: str = "") -> Upgrade:
    text = rules_text('{scale = "length", to = "length_mm", factor = 10}', answer=answer, options=options)
    return bind_upgrade(contract("v1", {"length": CM}, old_output), contract("v2", {"length_mm": MM}, new_output, upgrade=text), "v2")


def test_a_number_that_is_whole_is_written_whole_and_an_integer_stays_one() -> None:
    text = rules_text('{rename = "n", to = "m"}')
    bound = bind_upgrade(contract("v1", {"n": COUNT, "x": CM}), contract("v2", {"m": COUNT, "x": CM}, upgrade=text), "v2")
    body = b"".join(upgraded_body(bound, Decoder(bound.old).decode(b'{"instances": [{"n": 3.0, "x": 7}, {"n": 2, "x": 1.5}]}', 2), MIB))
    assert body == b'{"instances":[{"m":3,"x":7},{"m":2,"x":1.5}]}'


def test_a_negative_zero_and_numbers_beyond_exact_integers_keep_their_bits() -> None:
    number = 'type = "number"\nexample = 1'
    bound = bind_upgrade(contract("v1", {"x": number}), contract("v2", {"y": number}, upgrade=rules_text('{rename = "x", to = "y"}')), "v2")
    body = b"".join(upgraded_body(bound, Decoder(bound.old).decode(b'{"columns": ["x"], "data": [[-0.0], [1e30], [5e-324]]}', 3), MIB))
    assert body == b'{"columns":["y"],"data":[[-0.0],[1e30],[5e-324]]}'


def test_columns_come_back_as_columns_without_those_that_no_rule_fills() -> None:
    new = {"length_mm": MM, "size": SIZE + '\nrequired = false\ndefault = "large"'}
    text = rules_text('{scale = "length", to = "length_mm", factor = 10}', '{drop = "name"}')
    bound = bind_upgrade(contract("v1", {"length": CM, "name": NAME}), contract("v2", new, upgrade=text), "v2")
    sent = {"columns": ["name", "length"], "data": [["a", 5], ["b", 6.5]]}
    assert translated(bound, sent) == {"columns": ["length_mm"], "data": [[50], [65]]}
    only = bind_upgrade(contract("v1", {"name": NAME}), contract("v2", {"size": new["size"]}, upgrade=rules_text('{drop = "name"}')), "v2")
    assert translated(only, {"columns": ["name"], "data": [["a"]]}) == {"columns": ["size"], "data": [["large"]]}
    assert translated(only, {"instances": [{"name": "a"}]}) == {"instances": [{}]}


@pytest.mark.parametrize(
    ("bound", "outputs", "asked"),
    [
        (bound_with(LABELS, LABELS), ["confidence", "label"], ["label", "confidence"]),
        (bound_with(VALUE, TARGETS, 'from = "noise"'), ["value"], ["noise"]),
        (bound_with(TARGETS, TARGETS, '[upgrade.from.v1.answer.targets.rent]\nfrom = "noise"\n'), ["rent", "noise"], ["noise"]),
        (bound_with(VALUE, VALUE, options="one_way = true"), ["value"], ["value"]),
    ],
)
def test_outputs_are_those_that_the_newer_contract_answers_instead(bound: Upgrade, outputs: list[str], asked: list[str]) -> None:
    for body in ({"instances": [{"length": 5}]}, {"columns": ["length"], "data": [[5]]}):
        assert translated(bound, body | {"outputs": outputs})["outputs"] == asked
        assert "outputs" not in translated(bound, body)


def test_an_output_without_a_counterpart_is_refused_and_says_what_there_is() -> None:
    bound = bound_with(LABELS, VALUE, options="one_way = true")
    with pytest.raises(InvalidInput, match="'label' has no counterpart in v2, which answers value") as refused:
        translated(bound, {"instances": [{"length": 5}], "outputs": ["label"]})
    assert refused.value.members["errors"][0]["pointer"] == "/outputs"


def test_a_body_that_would_be_larger_than_a_call_may_be_is_refused_before_it_is_made() -> None:
    new = {"length_mm": MM, "always": 'type = "text"\nmax_length = 1000\nexample = "a"'}
    text = rules_text('{scale = "length", to = "length_mm", factor = 10}', f'{{constant = "{"x" * 1000}", to = "always"}}')
    old = {"length": CM + "\nrequired = false\ndefault = 5"}
    bound = bind_upgrade(contract("v1", old), contract("v2", new, upgrade=text), "v2")
    sent = Decoder(bound.old).decode(json.dumps({"instances": [{}] * 9_000}).encode(), MANY)
    whole, cut = list[None](), list[None]()
    upgraded_body(bound, sent, 20 * MIB, lambda: whole.append(None))
    with pytest.raises(BodyTooLarge, match="The body for v2 would have more than the 2000000 bytes"):
        upgraded_body(bound, sent, 2_000_000, lambda: cut.append(None))
    assert len(cut) <= len(whole) - 5, "of 9 MB just the first two are made"


def test_many_rows_are_translated_in_steps_to_the_same_body() -> None:
    bound = bound_with(LABELS, LABELS)
    rows = np.random.default_rng(3).uniform(1, 20, 9_000).round(3).tolist()
    body = json.dumps({"columns": ["length"], "data": [[each] for each in rows]}).encode()
    pauses: list[None] = []
    parts = upgraded_body(bound, Decoder(bound.old).decode(body, MANY), MIB, lambda: pauses.append(None))
    assert len(pauses) > 5
    assert json.loads(b"".join(parts)) == {"columns": ["length_mm"], "data": [[each * 10] for each in rows]}
