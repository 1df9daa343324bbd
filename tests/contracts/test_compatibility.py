"""What compare calls compatible is so for every caller: old rows stay valid and mean the same, old answers stay readable."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from gatehouse.contracts.cells import Fault, cell_check
from gatehouse.contracts.compatibility import RULES, compare, level
from gatehouse.contracts.contract import Contract, parse_contract
from gatehouse.contracts.decode import Decoder
from gatehouse.contracts.feature import FEATURE_TYPES, Feature
from gatehouse.contracts.openapi import response_schema
from gatehouse.contracts.output import Label, Output, Target

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "contracts.md"
FEW = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
MANY = settings(FEW, max_examples=200)

NUMBERS = st.sampled_from([-3, -1, 0, 1, 2])
LARGER = st.sampled_from([6, 7, 9])
WORDS = "abcd"


@st.composite
def features(draw: st.DrawFn, name: str, type_: str | None = None) -> Feature:
    kind: Any = type_ or draw(st.sampled_from(FEATURE_TYPES))
    numeric = kind in ("number", "integer")
    low, high = (draw(st.none() | NUMBERS), draw(st.none() | LARGER)) if numeric else (None, None)
    above, below = draw(st.booleans()), draw(st.booleans())
    feature = Feature(
        name=name,
        type=kind,
        unit=draw(st.sampled_from([None, "cm", "mm"])) if numeric else None,
        minimum=None if above else low,
        maximum=None if below else high,
        exclusive_minimum=low if above else None,
        exclusive_maximum=high if below else None,
        allowed=tuple(draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=3, unique=True))) if kind == "category" else None,
        max_length=draw(st.integers(1, 4)) if kind == "text" else None,
        required=draw(st.booleans()),
        default=None,
        nullable=draw(st.booleans()),
        description=draw(st.sampled_from([None, "one", "two"])),
        example="a",
    )
    return draw(fitting(feature))


@st.composite
def fitting(draw: st.DrawFn, feature: Feature) -> Feature:
    """The feature with an example and a default that it allows."""
    values = cells(feature)
    default = feature.default
    if feature.required:
        default = None
    elif default is None or isinstance(cell_check(feature)(default), Fault):
        default = draw(values | st.none() if feature.nullable else values)
    keeps = not isinstance(cell_check(feature)(feature.example), Fault)
    return replace(feature, default=default, example=feature.example if keeps else draw(values))


def allowed_values(feature: Feature) -> list[Any]:
    """Values that the feature allows, among them those at its bounds; null left out."""
    if feature.type == "boolean":
        return [False, True]
    if feature.type == "category":
        return [*(feature.allowed or ())]
    if feature.type == "text":
        return [WORDS[:length] for length in range((feature.max_length or 0) + 1)]
    (low, _), (high, _) = feature.lowest, feature.highest
    numbers = [low, high, -4, -3, -1, 0, 1, 2, 3, 5, 6, 7, 9, 10]
    if feature.type == "number":
        numbers += [number + 0.5 for number in numbers]
    check = cell_check(feature)
    return [number for number in numbers if not isinstance(check(number), Fault)]


def cells(feature: Feature) -> st.SearchStrategy[Any]:
    return st.sampled_from(allowed_values(feature))


RANGE = [("unit",), ("minimum", "exclusive_minimum"), ("maximum", "exclusive_maximum")]
LINES = {"number": RANGE, "integer": RANGE, "category": [("allowed",)], "text": [("max_length",)], "boolean": []}
LINES_OF_ALL = [("required",), ("nullable",), ("default",), ("description", "example")]


@st.composite
def changed(draw: st.DrawFn, feature: Feature) -> Feature:
    """The feature with a few lines written anew."""
    if feature.type == "integer" and draw(st.integers(0, 4)) == 0:
        return draw(fitting(replace(feature, type="number")))
    other = draw(features(feature.name, feature.type))
    lines = draw(st.lists(st.sampled_from([*LINES[feature.type], *LINES_OF_ALL]), min_size=1, max_size=2, unique=True))
    return draw(fitting(replace(feature, **{key: getattr(other, key) for line in lines for key in line})))


@st.composite
def outputs(draw: st.DrawFn, *, several: bool = True) -> Output:
    task: Any = draw(st.sampled_from(["classification", "regression", *(["multioutput"] if several else [])]))
    decimals = draw(st.integers(2, 4))
    if task == "multioutput":
        names = draw(st.lists(st.sampled_from("xyz"), min_size=2, unique=True))
        targets = tuple(Target(name, draw(outputs(several=False))) for name in names)
        returns = draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
        return Output(task, (), tuple(returns), decimals, None, None, targets)
    if task == "regression":
        return Output(task, (), ("value",), decimals, draw(st.sampled_from([None, "cm", "mm"])))
    names = draw(st.lists(st.sampled_from(["low", "middle", "high", "odd"]), min_size=3, unique=True))
    labels = tuple(Label(index, name) for index, name in enumerate(names))
    returns = draw(st.lists(st.sampled_from(["label", "confidence", "probabilities"]), min_size=1, unique=True))
    top_k = draw(st.none() | st.integers(1, 2)) if "probabilities" in returns else None
    return Output(task, labels, tuple(returns), decimals, None, top_k)


@st.composite
def changed_output(draw: st.DrawFn, output: Output, *, several: bool = True) -> Output:
    """The output with one line written anew."""
    if draw(st.integers(0, 7)) == 0:
        return draw(outputs(several=several))
    if output.targets:
        targets = [Target(target.name, draw(changed_output(target.output, several=False))) for target in output.targets]
        returns = draw(st.lists(st.sampled_from([target.name for target in targets]), min_size=1, unique=True))
        return replace(output, targets=tuple(draw(st.permutations(targets))), returns=tuple(returns))
    line = draw(st.sampled_from(["decimals", "unit", "returns", "top_k", "labels"]))
    if line == "decimals":
        return replace(output, decimals=draw(st.integers(2, 4)))
    if output.task == "regression":
        return replace(output, unit=draw(st.sampled_from([None, "cm", "mm"])))
    if line == "labels":
        names = [label.name for label in output.labels]
        more = [name for name in ("low", "middle", "high", "odd") if name not in names]
        names = draw(st.sampled_from([names + more, names[1:], names[::-1]]))
        return replace(output, labels=tuple(Label(index + 4, name) for index, name in enumerate(names)))
    if line == "top_k" and "probabilities" in output.returns:
        return replace(output, top_k=draw(st.none() | st.integers(1, 2)))
    returns = tuple(draw(st.permutations(["label", "confidence", "probabilities"]))[: draw(st.integers(1, 3))])
    return replace(output, returns=returns, top_k=output.top_k if "probabilities" in returns else None)


@st.composite
def contracts(draw: st.DrawFn) -> Contract:
    names = draw(st.lists(st.sampled_from("ABC"), min_size=1, unique=True))
    return Contract("model", "v1", tuple(draw(features(name)) for name in names), draw(outputs()), "0" * 64)


@st.composite
def successors(draw: st.DrawFn, contract: Contract) -> Contract:
    """A contract as its author may change it: mostly one field."""
    if draw(st.integers(0, 3)):
        place = draw(st.integers(0, len(contract.features) - 1))
        fields = [*contract.features]
        fields[place] = draw(changed(fields[place]))
        return replace(contract, features=tuple(fields))
    kept = [draw(changed(feature)) if draw(st.booleans()) else feature for feature in contract.features if draw(st.integers(0, 9))]
    free = [name for name in "ABCDE" if name not in contract.names]
    if not kept or draw(st.integers(0, 2)) == 0:
        kept.append(draw(features(draw(st.sampled_from(free)))))
    output = draw(changed_output(contract.output)) if draw(st.integers(0, 3)) == 0 else contract.output
    return replace(contract, features=tuple(draw(st.permutations(kept))), output=output)


def rows(contract: Contract) -> list[dict[str, Any]]:
    """Rows that the contract allows: in each field everything worth trying, null and nothing included."""
    full = {feature.name: allowed_values(feature)[0] for feature in contract.features}
    found = [full]
    for feature in contract.features:
        found += [full | {feature.name: value} for value in (*allowed_values(feature), *([None] if feature.nullable else []))]
        if not feature.required:
            found.append({name: value for name, value in full.items() if name != feature.name})
    return [row for row in found if row] or [full]


@st.composite
def answers(draw: st.DrawFn, output: Output) -> dict[str, Any]:
    """One prediction as the output promises it."""
    if output.targets:
        of = {target.name: target.output for target in output.targets}
        return {name: draw(answers(of[name])) for name in output.returns}
    names = [label.name for label in output.labels]
    some = draw(st.permutations(names))[: output.top_k]
    made = {"label": some[0] if some else "", "confidence": 0.5, "probabilities": dict.fromkeys(some, 0.25), "value": 1.5}
    return {name: made[name] for name in output.returns}


def read(contract: Contract, sent: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the contract makes of rows, by field; null is None. Raises where one is not valid."""
    decoded = Decoder(contract).decode_strictly(json.dumps({"instances": sent}).encode(), len(sent))
    table = [dict(zip(contract.names, row, strict=True)) for row in decoded.values.tolist()]
    return [{name: None if value is None or value != value else value for name, value in row.items()} for row in table]


def compatible(old: Contract, new: Contract) -> bool:
    return all(change.compatible for change in compare(old, new))


@MANY
@given(st.data())
def test_a_row_that_was_valid_stays_valid_and_means_the_same_under_a_compatible_contract(data: st.DataObject) -> None:
    old = data.draw(contracts())
    new = data.draw(successors(old))
    if not compatible(old, new):
        event("breaking")
        return
    event("compatible")
    sent = rows(old)
    defaults = {feature.name: feature.default for feature in new.features if feature.name not in old.names}
    assert read(new, sent) == [row | defaults for row in read(old, sent)]
    units = {feature.name: feature.unit for feature in new.features}
    assert all(feature.unit in (None, units[feature.name]) for feature in old.features)


@MANY
@given(st.data())
def test_an_answer_under_a_compatible_contract_is_one_that_old_callers_can_read(data: st.DataObject) -> None:
    old = replace(contract(BASE), output=data.draw(outputs()))
    new = replace(old, output=data.draw(changed_output(old.output)))
    if not compatible(old, new):
        return
    head = {"model": "shop", "model_version": "1.1.0", "api_version": "v1", "request_id": "r"}
    predictions = [data.draw(answers(new.output)) for _ in range(4)]
    assert jsonschema_rs.Draft202012Validator(response_schema(old)).is_valid(head | {"predictions": predictions})
    assert set(old.output.returns) <= set(predictions[0])
    assert new.output.decimals >= old.output.decimals or new.output.targets


@FEW
@given(st.data())
def test_a_contract_equals_itself_and_no_change_is_none_either_way(data: st.DataObject) -> None:
    old = data.draw(contracts())
    new = data.draw(successors(old))
    assert compare(old, old) == ()
    assert (compare(old, new) == ()) == (compare(new, old) == ())


@FEW
@given(st.data())
def test_compatible_steps_add_up_to_a_compatible_way(data: st.DataObject) -> None:
    first = data.draw(contracts())
    second = data.draw(successors(first))
    third = data.draw(successors(second))
    if compatible(first, second) and compatible(second, third):
        assert compatible(first, third)


BASE = """
format = 1
model = "shop"
api_version = "v1"
[features.age]
type = "integer"
unit = "years"
minimum = 18
maximum = 99
example = 40
[features.colour]
type = "category"
allowed = ["red", "green"]
required = false
default = "red"
example = "red"
[features.note]
type = "text"
max_length = 20
nullable = true
description = "What was said"
example = "a few words"
[output]
task = "classification"
labels = [{class = 0, name = "low"}, {class = 1, name = "middle"}, {class = 2, name = "high"}]
returns = ["label", "probabilities"]
top_k = 1
decimals = 3
"""
SEVERAL = BASE.partition("[output]")[0] + (
    '[output]\ntask = "multioutput"\nreturns = ["price", "rent"]\n[output.targets.price]\ntask = "regression"\nunit = "EUR"\n'
    '[output.targets.rent]\ntask = "regression"\ndecimals = 2\n[output.targets.sold]\ntask = "regression"\n'
)
AGE = '[features.age]\ntype = "integer"\nunit = "years"\nminimum = 18\nmaximum = 99\nexample = 40\n'
HEIGHT = '[features.height]\ntype = "number"\nexample = 1.5\n'


def contract(source: str) -> Contract:
    return parse_contract(source.encode(), "shop.toml")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('"shop"', '"other"', [("model", "model changed")]),
        ('"v1"', '"v2"', [("api_version", "API version changed")]),
        (AGE, "", [("features.age", "field removed")]),
        ("[features.age]", "[features.years]", [("features.age", "field renamed?")]),
        (AGE, HEIGHT, [("features.age", "field removed"), ("features.height", "required field added")]),
        (AGE, AGE + HEIGHT, [("features.height", "required field added")]),
        (AGE, AGE + HEIGHT + "required = false\nnullable = true\n", [("features.height", "optional field added")]),
        (AGE, AGE + HEIGHT + "required = false\ndefault = 2\n", [("features.height", "optional field added")]),
        ('type = "integer"', 'type = "number"', [("features.age.type", "integer became number")]),
        ('type = "integer"\nunit = "years"\nminimum = 18\nmaximum = 99\nexample = 40', 'type = "text"\nexample = "x"',
         [("features.age.type", "type changed")]),
        ("minimum = 18", "minimum = 17", [("features.age", "range widened")]),
        ("minimum = 18\n", "", [("features.age", "range widened")]),
        ("minimum = 18", "exclusive_minimum = 17", []),
        ("minimum = 18", "minimum = 19", [("features.age", "range narrowed")]),
        ("minimum = 18\nmaximum = 99", "minimum = 17\nmaximum = 98", [("features.age", "range narrowed")]),
        ("maximum = 99", "exclusive_maximum = 99", [("features.age", "range narrowed")]),
        ("maximum = 99", "exclusive_maximum = 100", []),
        ('["red", "green"]', '["green", "red"]', []),
        ('["red", "green"]', '["red", "green", "blue"]', [("features.colour.allowed", "allowed values added")]),
        ('["red", "green"]', '["red", "blue"]',
         [("features.colour.allowed", "allowed values removed"), ("features.colour.allowed", "allowed values added")]),
        ("max_length = 20", "max_length = 30", [("features.note.max_length", "longer text allowed")]),
        ("max_length = 20", "max_length = 12", [("features.note.max_length", "shorter text demanded")]),
        ("nullable = true\n", "", [("features.note.nullable", "null forbidden")]),
        ("max_length = 20", "max_length = 20\nrequired = false", [("features.note.required", "field became optional")]),
        ("example = 40", "nullable = true\nexample = 40", [("features.age.nullable", "null allowed")]),
        ('required = false\ndefault = "red"\n', "", [("features.colour.required", "field became required")]),
        ('default = "red"', 'default = "green"', [("features.colour.default", "default changed")]),
        ('unit = "years"\n', "", [("features.age.unit", "unit removed")]),
        ('"years"', '"months"', [("features.age.unit", "unit changed")]),
        ('"What was said"', '"What they said"', [("features.note.description", "description changed")]),
        ("example = 40", "example = 50", [("features.age.example", "example changed")]),
        ('{class = 2, name = "high"}', '{class = 2, name = "High"}', [("output.labels", "label renamed")]),
        (', {class = 2, name = "high"}', "", [("output.labels", "label removed")]),
        ('{class = 2, name = "high"}', '{class = 2, name = "high"}, {class = 3, name = "top"}', [("output.labels", "label added")]),
        ('{class = 0, name = "low"}, {class = 1, name = "middle"}', '{class = 1, name = "middle"}, {class = 0, name = "low"}',
         [("output.labels", "label order changed")]),
        ('{class = 0, name = "low"}, {class = 1, name = "middle"}', '{class = 0, name = "middle"}, {class = 1, name = "low"}',
         [("output.labels", "label renamed"), ("output.labels", "label renamed")]),
        ("class = 0", "class = 7", []),
        ('["label", "probabilities"]', '["probabilities", "label"]', [("output.returns", "result order changed")]),
        ('["label", "probabilities"]', '["label", "confidence", "probabilities"]', [("output.returns", "result added")]),
        ('["label", "probabilities"]', '["probabilities"]', [("output.returns", "result removed")]),
        ("top_k = 1", "top_k = 2", [("output.top_k", "more labels in top k")]),
        ("top_k = 1\n", "", [("output.top_k", "more labels in top k")]),
        ("decimals = 3", "decimals = 4", [("output.decimals", "more decimals")]),
        ("decimals = 3", "decimals = 2", [("output.decimals", "fewer decimals")]),
    ],
)  # fmt: skip
def test_every_line_that_changes_is_named(old: str, new: str, expected: list[tuple[str, str]]) -> None:
    assert old in BASE
    found = compare(contract(BASE), contract(BASE.replace(old, new, 1)))
    assert [(change.place, change.kind) for change in found] == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('"EUR"', '"USD"', [("output.targets.price.unit", "unit changed")]),
        ("decimals = 2", 'decimals = 2\nunit = "EUR"', [("output.targets.rent.unit", "unit added")]),
        ("decimals = 2", "decimals = 1", [("output.targets.rent.decimals", "fewer decimals")]),
        ('["price", "rent"]', '["price"]', [("output.returns", "target removed")]),
        ('["price", "rent"]', '["price", "rent", "sold"]', [("output.returns", "target added")]),
        ('["price", "rent"]', '["rent", "price"]', [("output.returns", "target order changed")]),
        ("[output.targets.sold]", "[output.targets.left]", []),
    ],
)
def test_targets_are_compared_by_name(old: str, new: str, expected: list[tuple[str, str]]) -> None:
    assert old in SEVERAL
    found = compare(contract(SEVERAL), contract(SEVERAL.replace(old, new, 1)))
    assert [(change.place, change.kind) for change in found] == expected


def test_another_task_is_one_breaking_change() -> None:
    [change] = compare(contract(BASE), contract(SEVERAL))
    assert (change.place, change.kind, change.compatible) == ("output.task", "task changed", False)


def test_fewer_labels_in_top_k_and_another_order_of_fields() -> None:
    wider = BASE.replace("top_k = 1", "top_k = 2")
    assert [change.kind for change in compare(contract(wider), contract(BASE))] == ["fewer labels in top k"]
    moved = BASE.replace(AGE, "").replace("[output]", AGE + "[output]")
    assert [change.kind for change in compare(contract(BASE), contract(moved))] == ["field order changed"]


def test_a_change_says_what_was_and_what_is() -> None:
    [change] = compare(contract(BASE), contract(BASE.replace("minimum = 18", "minimum = 21")))
    assert change.detail == "was 18 to 99 years, now 21 to 99 years"
    assert (change.compatible, change.reason) == (False, "values that were inside are refused")


def test_the_level_is_that_of_the_worst_change() -> None:
    base = contract(BASE)
    assert level(compare(base, contract("# a comment\n" + BASE))) == "patch"
    assert level(compare(base, contract(BASE.replace("minimum = 18", "minimum = 0")))) == "minor"
    assert level(compare(base, contract(BASE.replace("minimum = 18", "minimum = 0").replace("decimals = 3", "decimals = 2")))) == "major"


def test_the_page_on_contracts_holds_every_rule_and_no_other() -> None:
    written = re.findall(r"^\| ([^|]+) \| (compatible|breaking) \| ([^|]+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert written == [(kind, "compatible" if compatible else "breaking", reason) for kind, (compatible, reason) in RULES.items()]
