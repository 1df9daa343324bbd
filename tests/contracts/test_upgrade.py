"""Rows of an older contract as rows of the newer one: every operation, by rows and by columns."""

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from upgrade_pairs import pairs
from upgrade_text import CM, CODE, COUNT, FLAG, MM, NAME, SIZE, Fields, contract, rules_text, upgrade

from gatehouse.contracts import upgrade_steps
from gatehouse.contracts.contract import Contract, parse_contract
from gatehouse.contracts.decode import Decoder
from gatehouse.contracts.drawing import draw_cells
from gatehouse.contracts.upgrade import Upgrade, bind_upgrade, cells_from, rules_from
from gatehouse.contracts.upgrade_fillings import FAILURES
from gatehouse.contracts.upgrade_proof import matrix, prove
from gatehouse.contracts.upgrade_steps import upgraded_values
from gatehouse.errors import InvalidInput

MODELS = Path(__file__).parents[2] / "models"
NULLABLE = "\nnullable = true"
NUMBER = 'type = "number"\nexample = 1'
INTEGER = 'type = "integer"\nexample = 1'
TEXT = 'type = "text"\nexample = "a"'


def both_ways(bound: Upgrade, rows: list[list[Any]]) -> list[list[Any]]:
    """What the rows become, which is the same by columns and one by one; a row that fails is the failures' codes by field."""
    one_by_one = [bound.row(row) for row in rows]
    at_once = bound.columns(matrix(bound.old.features, rows))
    for place, (row, failures) in enumerate(one_by_one):
        of_row = [failure for failure in at_once.failures() if failure.row == place]
        assert [(each.sources, each.target, each.fault) for each in of_row] == [
            (each.sources, each.target, each.fault) for each in failures
        ]
        assert bool(at_once.valid[place]) is not bool(failures)
        same = matrix(bound.new.features, [row])[0]
        assert all(a is b or a == b or (a != a and b != b) for a, b in zip(at_once.values[place], same, strict=True))
        if at_once.values.dtype == object:
            assert [type(cell) for cell in at_once.values[place]] == [type(cell) for cell in row]
    return [{each.target: each.fault.code for each in failures} or row for row, failures in one_by_one]


def one(old: str, new: str, rule: str, *values: Any) -> list[Any]:
    """What values of `a` become in `b`; a failure is its code."""
    made = both_ways(upgrade({"a": old}, {"b": new}, rule), [[value] for value in values])
    return [each["b"] if isinstance(each, dict) else each[0] for each in made]


def test_rename_moves_values_of_every_type_as_they_are() -> None:
    old: Fields = {"a": NUMBER, "b": INTEGER, "c": FLAG, "d": SIZE, "e": TEXT}
    names = dict(zip(old, ("v", "w", "x", "y", "z"), strict=True))
    rules = [f'{{rename = "{name}", to = "{new}"}}' for name, new in names.items()]
    bound = upgrade(old, {names[name]: lines for name, lines in old.items()}, *rules)
    rows = [[0.1, -(2**53), True, "small", ""], [-3.4028234663852886e38, 2**53, False, "large", "Ünï\ncode"]]
    assert both_ways(bound, rows) == rows


def test_two_fields_can_change_places() -> None:
    bound = upgrade({"a": COUNT, "b": COUNT}, {"a": COUNT, "b": COUNT}, '{rename = "a", to = "b"}', '{rename = "b", to = "a"}')
    assert both_ways(bound, [[1, 2]]) == [[2, 1]]


def test_integers_become_numbers_and_categories_texts() -> None:
    assert one(INTEGER, NUMBER, '{rename = "a", to = "b"}', 2**53, -1) == [2.0**53, -1.0]
    assert one(SIZE, TEXT, '{rename = "a", to = "b"}', "small") == ["small"]


@pytest.mark.parametrize(
    ("old", "new", "rule", "values", "expected"),
    [
        (CM, MM, "factor = 10", [5, 1.5, 20], [50.0, 15.0, 200.0]),
        (NUMBER, NUMBER, "factor = 0.1", [3, 7, 0.7], [0.3, 0.7, 0.7 / 10]),
        (NUMBER, NUMBER, "factor = 1.8, offset = 32", [100, -40, 37], [212.0, -40.0, 37 * 1.8 + 32]),
        (NUMBER, NUMBER, "offset = -273.15", [0], [-273.15]),
        (NUMBER, NUMBER, "factor = -1", [2.5, 0], [-2.5, 0.0]),
        (NUMBER, NUMBER, "factor = 3e38", [1e30, -1e30, 1], ["upgrade_out_of_range", "upgrade_out_of_range", 3e38]),
        (INTEGER, NUMBER, "factor = 0.5", [3], [1.5]),
        (COUNT, COUNT, "factor = -1, offset = 5", [0, 5], [5, 0]),
        (INTEGER, COUNT, "factor = -2, offset = 6", [0, 1, 3, 4], ["upgrade_out_of_range", 4, 0, "upgrade_out_of_range"]),
        (INTEGER, COUNT, "factor = 2", [-1, 0, 2, 3], ["upgrade_out_of_range", 0, 4, "upgrade_out_of_range"]),
        (INTEGER, INTEGER, "factor = 10", [2**53, 900719925474099, -5], ["upgrade_out_of_range", 9007199254740990, -50]),
        (INTEGER, INTEGER, "factor = 9007199254740992", [2**53, 1, 2], ["upgrade_out_of_range", 2**53, "upgrade_out_of_range"]),
        (INTEGER, INTEGER, "offset = 9007199254740991", [-(2**53), 1, 2], [-1, 2**53, "upgrade_out_of_range"]),
    ],
)
def test_scale_computes_in_the_other_unit(old: str, new: str, rule: str, values: list[Any], expected: list[Any]) -> None:
    assert one(old, new, f'{{scale = "a", to = "b", {rule}}}', *values) == expected


@pytest.mark.parametrize(
    ("old", "new", "values", "sent", "expected"),
    [
        (SIZE, CODE, '{small = "S", large = "L"}', ["small", "large"], ["S", "L"]),
        (SIZE, CODE, '{small = "S", large = "S"}', ["small", "large"], ["S", "S"]),
        (SIZE, CODE, '{small = "S"}, partial = true', ["small", "large"], ["S", "upgrade_not_allowed"]),
        (SIZE, FLAG, "{small = false, large = true}", ["small", "large"], [False, True]),
        (SIZE, NUMBER, "{small = 0.5, large = 2}", ["small", "large"], [0.5, 2.0]),
        (FLAG, CODE, '{true = "L", false = "S"}', [True, False], ["L", "S"]),
        (COUNT, FLAG, "{0 = false, 1 = true, 2 = true, 3 = true, 4 = true, 5 = true}", [0, 1, 5], [False, True, True]),
    ],
)
def test_map_gives_each_value_its_new_one(old: str, new: str, values: str, sent: list[Any], expected: list[Any]) -> None:
    assert one(old, new, f'{{map = "a", to = "b", values = {values}}}', *sent) == expected


def test_constant_fills_a_new_field_for_every_row() -> None:
    bound = upgrade({"a": COUNT}, {"a": COUNT, "b": CODE, "c": NUMBER}, '{constant = "L", to = "b"}', '{constant = 2, to = "c"}')
    assert both_ways(bound, [[1], [2]]) == [[1, "L", 2.0], [2, "L", 2.0]]


def test_drop_takes_a_field_away_even_where_an_optional_one_of_its_name_is_new() -> None:
    new = {"a": COUNT, "b": INTEGER + "\nrequired = false\ndefault = 7"}
    assert both_ways(upgrade({"a": COUNT, "b": TEXT}, new, '{drop = "b"}'), [[1, "x"]]) == [[1, 7]]


def test_split_gives_exactly_as_many_parts_as_there_are_fields() -> None:
    systolic = 'type = "integer"\nminimum = 50\nmaximum = 250\nexample = 120'
    rule = '{split = "a", separator = "/", to = ["high", "low", "arm"], partial = true}'
    bound = upgrade({"a": TEXT}, {"high": systolic, "low": NUMBER, "arm": CODE}, rule)
    wrong = dict.fromkeys(("high", "low", "arm"), "upgrade_wrong_parts")
    rows = [["120/80.5/L"], ["120/80"], ["120/80/L/"], [""], ["3/1e2/S"], ["1.5/x/Q"], ["１２０/80/L"], ["9" * 400 + "/1e999/L"]]
    assert both_ways(bound, rows) == [
        [120, 80.5, "L"],
        wrong,
        wrong,
        wrong,
        {"high": "upgrade_out_of_range"},
        {"high": "upgrade_not_an_integer", "low": "upgrade_wrong_type", "arm": "upgrade_not_allowed"},
        {"high": "upgrade_wrong_type"},
        {"high": "upgrade_not_an_integer", "low": "upgrade_out_of_range"},
    ]


def test_join_makes_one_text_or_category_of_several_fields() -> None:
    size = 'type = "category"\nallowed = ["small-0", "large-5"]\nexample = "small-0"'
    bound = upgrade({"a": SIZE, "b": COUNT}, {"c": size}, '{join = ["a", "b"], separator = "-", to = "c", partial = true}')
    assert both_ways(bound, [["small", 0], ["large", 5], ["small", 5]]) == [["small-0"], ["large-5"], {"c": "upgrade_not_allowed"}]
    bound = upgrade({"a": NAME, "b": NAME}, {"c": NAME}, '{join = ["b", "a"], separator = ", ", to = "c", partial = true}')
    assert both_ways(bound, [["Ada", "Byron"], ["Adaaa", "Lovelace"]]) == [["Byron, Ada"], {"c": "upgrade_too_long"}]


@pytest.mark.parametrize(
    ("old", "new", "rule", "value", "expected"),
    [
        (NUMBER, NUMBER, '{rename = "a", to = "b"', 1.0, 9.0),
        (INTEGER, INTEGER, '{scale = "a", to = "b", factor = 2', 1, 9),
        (NUMBER, NUMBER, '{scale = "a", to = "b", factor = 2', 1.0, 9.0),
        (INTEGER, INTEGER, '{rename = "a", to = "b"', 1, 9),
        (SIZE, INTEGER, '{map = "a", to = "b", values = {small = 1, large = 2}', "small", 9),
    ],
)
def test_null_stays_null_or_becomes_what_the_rule_says(old: str, new: str, rule: str, value: Any, expected: Any) -> None:
    made = one(old + NULLABLE, new, f"{rule}, if_null = 9}}", None, value)
    assert made[0] == expected
    assert one(old + NULLABLE, new + NULLABLE, f"{rule}}}", None, value) == [None, made[1]]
    assert one(old + NULLABLE, new, f"{rule}, partial = true}}", None, value) == ["upgrade_null_not_allowed", made[1]]


def test_a_joined_row_with_a_null_part_is_null() -> None:
    bound = upgrade({"a": NAME + NULLABLE, "b": NAME}, {"c": TEXT}, '{join = ["a", "b"], separator = " ", to = "c", if_null = "none"}')
    assert both_ways(bound, [[None, "x"], ["x", "y"]]) == [["none"], ["x y"]]


def test_a_failing_row_is_named_with_the_old_field_and_the_new_contracts_facts() -> None:
    narrow = 'type = "number"\nunit = "mm"\nminimum = 10\nmaximum = 120\nexample = 50'
    bound = upgrade(
        {"len gth": CM, "n": COUNT}, {"length": narrow, "n": COUNT}, '{scale = "len gth", to = "length", factor = 10, partial = true}'
    )
    at_once = bound.columns(matrix(bound.old.features, [[5, 1], [15, 1], [20, 1]]))
    assert at_once.valid.tolist() == [True, False, False]
    with pytest.raises(InvalidInput) as raised:
        at_once.refuse()
    assert raised.value.members["errors"][0] == {
        "pointer": "/instances/1/len gth",
        "code": "upgrade_out_of_range",
        "detail": "becomes 'length', which must be 10 to 120 mm",
        "field": "length",
        "minimum": 10,
        "maximum": 120,
        "unit": "mm",
    }
    assert [error["pointer"] for error in raised.value.members["errors"]] == ["/instances/1/len gth", "/instances/2/len gth"]
    bound.columns(matrix(bound.old.features, [[5, 1]])).refuse()


def test_of_many_failing_rows_the_first_are_listed_and_a_thousand_counted() -> None:
    bound = upgrade({"a": CM, "b": CM}, {"a": CM.replace("20", "10"), "b": CM.replace("20", "10")})
    made = bound.columns(np.full((3_000, 2), 15.0))
    assert (len(made.failures()), len(made.failures(most=5)), made.valid.sum()) == (6_000, 5, 0)
    with pytest.raises(InvalidInput) as raised:
        made.refuse()
    assert [error["pointer"] for error in raised.value.members["errors"][:3]] == ["/instances/0/a", "/instances/0/b", "/instances/1/a"]
    assert (raised.value.members["errors_total"], raised.value.members["errors_counted_all"]) == (1_000, False)


def test_a_record_leaves_out_what_no_rule_fills_and_is_valid_as_it_stands() -> None:
    new = {"b": COUNT, "late": INTEGER + "\nrequired = false\ndefault = 7", "flag": FLAG + "\nrequired = false\nnullable = true"}
    bound = upgrade({"a": COUNT, "flag": FLAG}, new, '{rename = "a", to = "b"}')
    cells, failures = bound.row(cells_from(bound.old, {"a": 4, "flag": True}))
    assert (bound.record(cells), failures) == ({"b": 4, "flag": True}, [])


def test_what_a_row_leaves_out_is_the_old_contracts_default_not_the_new_ones() -> None:
    optional = 'type = "integer"\nexample = 1\nrequired = false\ndefault = '
    bound = upgrade({"a": optional + "3"}, {"a": optional + "8"})
    decoded = Decoder(bound.old).decode(b'{"instances": [{}]}', 1)
    assert bound.columns(decoded.values).values.tolist() == [[3.0]]
    assert bound.row(cells_from(bound.old, {})) == ([3], [])


def check_pair(bound: Upgrade, rows: int) -> None:
    """Nothing is raised, failures are the named ones, the proof knows them all, and what is valid decodes under the newer contract."""
    proof = prove(bound, rows)
    known = {(gap.target, gap.code): gap for gap in proof.gaps}
    drawn = draw_cells(bound.old.features, rows, seed=rows)
    both_ways(bound, drawn)
    made = bound.columns(matrix(bound.old.features, drawn))
    for each in made.failed:
        assert each.fault.code in FAILURES
        assert (each.target, each.fault.code) in known
    for gap in proof.gaps:
        names = [feature.name for feature in bound.old.features]
        row = [gap.witness.get(name, cell) for name, cell in zip(names, drawn[0], strict=True)]
        assert (gap.target, gap.code) in {(failure.target, failure.fault.code) for failure in bound.row(row)[1]}
        assert str(gap)
    _decodes(bound, drawn, made.valid, made.values)


def _decodes(bound: Upgrade, drawn: list[list[Any]], valid: Any, values: Any) -> None:
    records = [bound.record(bound.row(row)[0]) for row, fine in zip(drawn, valid, strict=True) if fine]
    if records:
        decoded = Decoder(bound.new).decode_strictly(json.dumps({"instances": records}).encode(), len(records)).values
        assert decoded.shape == values[valid].shape
        assert np.array_equal(decoded, values[valid], equal_nan=True) if decoded.dtype != object else (decoded == values[valid]).all()


@given(pairs())
@settings(max_examples=200, deadline=None)
def test_upgrade_then_validate_fails_only_as_named_for_generated_pairs(bound: Upgrade) -> None:
    check_pair(bound, 25)


@pytest.mark.soak
@given(pairs())
@settings(max_examples=1_000, deadline=None)
def test_upgrade_then_validate_fails_only_as_named_at_length(bound: Upgrade) -> None:
    check_pair(bound, 100)


def model_pairs() -> list[tuple[Path, Path]]:
    """Every older and newer contract of one model."""
    files = [sorted(folder.glob("v*.toml"), key=lambda file: int(file.stem[1:])) for folder in MODELS.iterdir()]
    return [pair for of_model in files for pair in combinations(of_model, 2)]


@pytest.mark.parametrize(("old", "new"), model_pairs(), ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_every_pair_of_models_has_rules_that_upgrade_every_row(old: Path, new: Path) -> None:
    bound = bind_upgrade(read(old), read(new), str(new))
    check_pair(bound, 500)
    assert prove(bound).gaps == ()
    assert bound.answers is not None


def read(file: Path) -> Contract:
    return parse_contract(file.read_bytes(), str(file))


def test_a_pair_is_there() -> None:
    assert ("iris", "v1", "v2") in [(old.parent.name, old.stem, new.stem) for old, new in model_pairs()]
    assert rules_from(read(MODELS / "iris" / "v1.toml"), "v1") is None


@given(pairs(("rename",)), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_rename_only_rules_round_trip_exactly(there: Upgrade, seed: int) -> None:
    back_rules = [f'{{rename = "{rule.targets[0]}", to = "{rule.sources[0]}"}}' for rule in there.rules.rules]
    old_again = contract("v3", lines_of(there.old), upgrade=rules_text(*back_rules, old="v2"))
    back = bind_upgrade(there.new, old_again, "v3.toml")
    drawn = draw_cells(there.old.features, 20, seed)
    made = there.columns(matrix(there.old.features, drawn))
    returned = back.columns(made.values[made.valid])
    assert returned.failed == ()
    kept = [row for row, fine in zip(drawn, made.valid, strict=True) if fine]
    if kept:
        assert [back.row(there.row(row)[0])[0] for row in kept] == kept
        assert np.array_equal(returned.values, matrix(there.old.features, kept), equal_nan=back.new.numeric)


def lines_of(old: Contract) -> Fields:
    """The fields of a contract, written down again."""
    keys = ("type", "unit", "minimum", "maximum", "exclusive_minimum", "exclusive_maximum", "allowed", "max_length", "default", "example")
    return {
        feature.name: "\n".join(
            [f"{key} = {json.dumps(getattr(feature, key), ensure_ascii=False)}" for key in keys if getattr(feature, key) is not None]
            + [f"{key} = {str(getattr(feature, key)).lower()}" for key in ("required", "nullable")]
        )
        for feature in old.features
    }


@given(pairs())
@settings(max_examples=60, deadline=None)
def test_few_rows_are_upgraded_as_many_are(bound: Upgrade) -> None:
    drawn = draw_cells(bound.old.features, 6, seed=3)
    for row in drawn:
        values = matrix(bound.old.features, [row])
        at_once = bound.columns(values)
        if at_once.failed:
            with pytest.raises(InvalidInput):
                upgraded_values(bound, values)
            continue
        made = upgraded_values(bound, values)
        assert made.dtype == at_once.values.dtype
        assert [type(cell) for cell in made[0]] == [type(cell) for cell in at_once.values[0]]
        assert all(a == b or (a != a and b != b) for a, b in zip(made[0], at_once.values[0], strict=True))


@given(pairs(), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_many_rows_are_upgraded_in_steps_as_they_are_at_once(bound: Upgrade, step_cells: int) -> None:
    values = matrix(bound.old.features, draw_cells(bound.old.features, 30, seed=7))
    at_once, steps = bound.columns(values), list[None]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(upgrade_steps, "STEP_CELLS", step_cells)
        patch.setattr(upgrade_steps, "FEW_ROWS", 0)
        if not at_once.valid.all():
            with pytest.raises(InvalidInput) as whole:
                at_once.refuse()
            with pytest.raises(InvalidInput) as raised:
                upgraded_values(bound, values)
            assert raised.value.members == whole.value.members
        values = values[at_once.valid]
        made = upgraded_values(bound, values, pause=lambda: steps.append(None))
    assert made.dtype == at_once.values.dtype
    assert made.tolist() == at_once.values[at_once.valid].tolist() or np.array_equal(made, at_once.values[at_once.valid], equal_nan=True)
    assert len(steps) >= len(values) * max(len(bound.old.features), len(bound.new.features)) / max(step_cells, 40)


def test_of_rows_that_fail_no_more_steps_are_taken_than_are_counted() -> None:
    bound = upgrade({"a": CM}, {"a": CM.replace("20", "10")})
    steps = list[None]()
    with pytest.raises(InvalidInput) as raised:
        upgraded_values(bound, np.full((100_000, 1), 15.0), pause=lambda: steps.append(None))
    assert (raised.value.members["errors_total"], len(steps)) == (1_000, 0)


def test_a_pointer_leads_into_the_shape_that_was_sent() -> None:
    rule = '{split = "b", separator = "/", to = ["c", "d"], partial = true}'
    bound = upgrade({"a": CM, "b": TEXT}, {"a": CM.replace("20", "10"), "c": TEXT, "d": TEXT}, rule)
    body = {"columns": ["b", "a"], "data": [["x/y", 15], ["x", 5]]}
    decoded = Decoder(bound.old).decode(json.dumps(body).encode(), 2)
    assert decoded.columns == ("b", "a")
    with pytest.raises(InvalidInput) as raised:
        bound.columns(decoded.values).refuse(decoded.columns)
    assert [error["pointer"] for error in raised.value.members["errors"]] == ["/data/0/1", "/data/1/0", "/data/1/0"]
    records = Decoder(bound.old).decode(b'{"instances": [{"a": 15, "b": "x/y"}]}', 1)
    assert records.columns is None
    with pytest.raises(InvalidInput) as raised:
        bound.columns(decoded.values[:1]).refuse(("b",))
    assert [error["pointer"] for error in raised.value.members["errors"]] == ["/data/0"]
