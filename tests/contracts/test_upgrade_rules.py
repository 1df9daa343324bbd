"""What `[upgrade.from.v1]` may say, and what its author is told when it says something else."""

import hashlib
import re
from itertools import chain
from pathlib import Path

import pytest
from upgrade_text import CM, CODE, COUNT, FLAG, LABELS, MM, NAME, SIZE, Fields, contract, contract_text, rules_text

from gatehouse.contracts.compatibility import compare
from gatehouse.contracts.contract import ContractInvalid, parse_contract
from gatehouse.contracts.upgrade import bind_upgrade
from gatehouse.contracts.upgrade_answer_section import MEMBERS
from gatehouse.contracts.upgrade_fillings import FAILURES
from gatehouse.contracts.upgrade_rules import EXAMPLES, MEMBERS_OF

PAGE = Path(__file__).parents[2] / "docs" / "contracts.md"
OLD = {"length": CM, "count": COUNT, "flag": FLAG, "size": SIZE, "name": NAME}
OPTIONAL = "\nrequired = false\ndefault = 2"


def complaints(old: Fields, new: Fields, upgrade: str, old_output: str = LABELS, new_output: str = LABELS) -> str:
    with pytest.raises(ContractInvalid) as raised:
        bind_upgrade(contract("v1", old, old_output), contract("v2", new, new_output, upgrade), "v2.toml")
    assert all(line.startswith("v2.toml: ") for line in str(raised.value).splitlines())
    return str(raised.value)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ('"rename"', "rules[0] must be a table; write for example: {rename"),
        ('{renam = "length", to = "length"}', "rules[0] has no operation; did you mean rename?"),
        ('{to = "length"}', "rules[0] has no operation; known are keep, rename, scale, map, constant, split, join, drop"),
        ('{keep = "length", drop = "length"}', "rules[0] has several operations, keep and drop; write one rule for each"),
        ('{rename = "length", to = "length", factor = 10}', "rules[0].factor is not known here"),
        ('{keep = "length", to = "length"}', "rules[0].to is not known here"),
        ('{rename = "length"}', "rules[0].to is missing; write for example: {rename"),
        ('{rename = 5, to = "length"}', "rules[0].rename must be a text in quotes"),
        ('{rename = "length", to = "lenght"}', "rules[0].to names lenght, which is no field of this contract; did you mean length?"),
        ('{keep = "lenght"}', "rules[0].keep names lenght, which is no field of this contract"),
        ('{scale = "length"}', "rules[0].factor is missing, and so is offset"),
        ('{scale = "length", factor = 0}', "rules[0].factor must not be 0"),
        ('{scale = "length", factor = 0.0}', "rules[0].factor must not be 0"),
        ('{scale = "length", factor = inf}', "rules[0].factor must be a finite number"),
        ('{scale = "length", offset = nan}', "rules[0].offset must be a finite number"),
        ('{scale = "length", factor = 1e39}', "rules[0].factor is beyond what a model can be given"),
        ('{scale = "length", factor = "10"}', "rules[0].factor must be a number"),
        ('{map = "size"}', "rules[0].values is missing; write for example"),
        ('{map = "size", values = {}}', "rules[0].values must hold at least one value"),
        (
            '{map = "size", values = {small = "tiny", large = "large"}}',
            "rules[0].values.small does not fit features.size: it must be exactly",
        ),
        ('{constant = 7, to = "count"}', "rules[0].constant does not fit features.count: it must be 0 to 5"),
        ('{constant = nan, to = "length"}', "rules[0].constant does not fit features.length"),
        ('{constant = 1979-05-27, to = "length"}', "rules[0].constant does not fit features.length: it must be a number, a text"),
        ("{constant = 5}", "rules[0].to is missing"),
        ('{keep = "length", if_null = 0}', "rules[0].if_null does not fit features.length: it must be 1 to 20 cm"),
        ('{split = "name", separator = " ", to = ["name"]}', "rules[0].to must name the fields of its parts, at least two and each once"),
        ('{split = "name", separator = " ", to = ["name", "name"]}', "rules[0].to must name the fields of its parts"),
        ('{split = "name", to = ["name", "size"]}', "rules[0].separator is missing"),
        ('{split = "name", separator = "", to = ["name", "size"]}', "rules[0].separator must be 1 to 16 characters"),
        ('{join = ["name"], separator = " ", to = "name"}', "rules[0].join must name the fields to join, at least two"),
        ('{join = "name", separator = " ", to = "name"}', "rules[0].join must be a list"),
        ('{keep = "length", note = ""}', "rules[0].note must be 1 to 1000 characters in one line"),
        ('{keep = "length", partial = "yes"}', "rules[0].partial must be true or false"),
        ('{keep = "length"}, {constant = 2, to = "length"}', "rules[1].to names length, which upgrade.from.v1.rules[0] fills already"),
        (
            '{split = "name", separator = " ", to = ["name", "size"]}, {map = "size", values = {small = "small"}}',
            "rules[1].map names size, which",
        ),
    ],
)
def test_a_rule_that_is_wrong_in_itself_is_refused_at_its_place(rule: str, expected: str) -> None:
    assert f"upgrade.from.v1.{expected}" in complaints(OLD, OLD, rules_text(rule))


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("[upgrade.from.v2]", "upgrade.from.v2 leads in a circle"),
        ("[upgrade.from.v3]", "upgrade.from.v3 leads in a circle"),
        ("[upgrade.from.one]", "upgrade.from.one is no API version"),
        ("[upgrade]", "upgrade.from is missing"),
        ("[upgrade.to.v3]", "upgrade.to is not known here; known are from"),
        ("[upgrade.from]\nv1 = 1", "upgrade.from.v1 must be a table"),
        ('[upgrade.from.v1]\nrule = [{keep = "count"}]', "upgrade.from.v1.rule is not known here; did you mean rules?"),
        ("[upgrade.from.v1]\nrules = 1", "upgrade.from.v1.rules must be a list"),
        ("[upgrade.from.v1]\none_way = true\n[upgrade.from.v1.answer]", "upgrade.from.v1.answer stands beside one_way = true"),
        ("[upgrade.from.v1.answer]\nfactor = 0", "upgrade.from.v1.answer.factor must not be 0"),
        ("[upgrade.from.v1.answer]\nlabels = {no = 1}", "upgrade.from.v1.answer.labels.no must be a text in quotes"),
        ("[upgrade.from.v1.answer]\nmerged = []", "upgrade.from.v1.answer.merged must hold labels"),
        ("[upgrade.from.v1.answer]\nlabel = {}", "upgrade.from.v1.answer.label is not known here; did you mean labels?"),
        ("[upgrade.from.v1.answer.targets]\nrent = 1", "upgrade.from.v1.answer.targets.rent must be a table"),
    ],
)
def test_a_section_that_is_wrong_in_itself_is_refused_at_its_place(section: str, expected: str) -> None:
    assert expected in complaints(OLD, OLD, section)


@pytest.mark.parametrize(
    ("old", "new", "rules", "expected"),
    [
        (
            {"a": COUNT},
            {"a": COUNT, "b": COUNT},
            [],
            'features.b is required, and nothing fills it from v1: write {constant = …, to = "b"}',
        ),
        ({"a": COUNT, "b": COUNT}, {"a": COUNT}, [], 'v1\'s field \'b\' goes nowhere: write {rename = "b", to = …}, or {drop = "b"}'),
        ({"a": COUNT}, {"a": COUNT}, ['{constant = 1, to = "a"}'], "v1's field 'a' goes nowhere"),
        ({"a": COUNT}, {"a": COUNT}, ['{drop = "a"}'], "features.a is required, and nothing fills it from v1"),
        ({"a": CM}, {"a": NAME}, [], "features.a is of type text, but comes from a of type number; make it a number, or drop a"),
        ({"a": CM}, {"a": MM}, [], "features.a is in mm, but comes from a in cm; write for example: {scale"),
        ({"a": CM}, {"a": CM.replace('unit = "cm"\n', "")}, [], "features.a is in no unit, but comes from a in cm"),
        ({"a": SIZE}, {"a": COUNT}, [], "features.a is of type integer, but comes from a of type category; write for example: {map"),
        ({"a": CM}, {"a": COUNT}, [], "features.a is of type integer, but comes from a of type number"),
        (
            {"a": NAME},
            {"b": SIZE},
            ['{rename = "a", to = "b"}'],
            "rules[0] fills b, which is of type category, but comes from a of type text",
        ),
        ({"a": COUNT}, {"a": COUNT}, ['{rename = "b", to = "a"}'], "rules[0] takes b, which is no field of v1; known are a"),
        ({"a": COUNT}, {"a": COUNT}, ['{keep = "a"}', '{drop = "a"}'], "rules[1] takes a, which upgrade.from.v1.rules[0] takes as well"),
        (
            {"a": COUNT, "b": COUNT},
            {"a": COUNT},
            ['{drop = "b"}', '{drop = "b"}'],
            "rules[1] takes b, which upgrade.from.v1.rules[0] takes",
        ),
        (
            {"a": COUNT},
            {"a": COUNT},
            ['{keep = "a", if_null = 1}'],
            "rules[0] has if_null, which is never used, because a of v1 is never null",
        ),
        ({"a": CM}, {"a": COUNT}, ['{scale = "a", factor = 1}'], "rules[0] makes an integer of a number"),
        ({"a": SIZE}, {"a": COUNT}, ['{scale = "a", factor = 2}'], "rules[0] makes an integer of a category"),
        ({"a": COUNT}, {"a": COUNT}, ['{scale = "a", factor = 0.5}'], "fills the integer a, so factor and offset must be whole numbers"),
        ({"a": NAME}, {"a": CODE}, ['{map = "a", values = {S = "S"}}'], "maps a, whose values cannot be listed"),
        (
            {"a": SIZE},
            {"a": CODE},
            ['{map = "a", values = {small = "S"}}'],
            'maps a, but not "large"; add it to values, or write partial = true',
        ),
        ({"a": SIZE}, {"a": CODE}, ['{map = "a", values = {small = "S", large = "L", huge = "L"}}'], 'maps "huge", which a never is'),
        ({"a": COUNT}, {"a": FLAG}, ['{map = "a", values = {0 = false}}'], 'maps a, but not "1", "2", "3", "4", "5"'),
        ({"a": COUNT}, {"a": NAME, "b": NAME}, ['{split = "a", separator = "/", to = ["a", "b"]}'], "splits a, which is an integer"),
        ({"a": NAME}, {"a": NAME, "b": FLAG}, ['{split = "a", separator = "/", to = ["a", "b"]}'], "fills b, which is a boolean"),
        ({"a": CM, "b": NAME}, {"c": NAME}, ['{join = ["a", "b"], separator = "/", to = "c"}'], "joins a, which is a number"),
        ({"a": SIZE, "b": NAME}, {"c": COUNT}, ['{join = ["a", "b"], separator = "/", to = "c"}'], "fills c, which is an integer"),
        (
            {"a": SIZE, "b": NAME},
            {"c": CODE},
            ['{join = ["a", "b"], separator = "/", to = "c"}'],
            "fills the category c from more than 10000",
        ),
    ],
)
def test_rules_that_do_not_fit_both_contracts_are_refused(old: Fields, new: Fields, rules: list[str], expected: str) -> None:
    assert expected in complaints(old, new, rules_text(*rules))


def test_every_complaint_is_told_at_once() -> None:
    said = complaints({"a": COUNT, "b": COUNT}, {"c": COUNT, "d": COUNT}, rules_text())
    assert len(said.splitlines()) == 4


def test_a_contract_of_another_model_or_without_rules_is_no_upgrade() -> None:
    assert "has no rules from v1; write [upgrade.from.v1]" in complaints(OLD, OLD, "")
    other = parse_contract(contract_text("v2", OLD).replace('"pair"', '"other"').encode(), "other.toml")
    with pytest.raises(ContractInvalid, match="is the contract of other, and no row of pair becomes one of it"):
        bind_upgrade(contract("v1", OLD), other, "other.toml")


def test_an_empty_section_keeps_fields_of_the_same_name_and_fills_optional_ones() -> None:
    bound = bind_upgrade(contract("v1", OLD), contract("v2", {**OLD, "extra": COUNT + OPTIONAL}, upgrade="[upgrade.from.v1]"), "v2.toml")
    assert bound.row([5.0, 1, True, "small", "Ada"]) == ([5.0, 1, True, "small", "Ada", 2], [])


def test_rules_are_no_change_for_callers_of_their_own_version_and_leave_other_digests_as_they_are() -> None:
    plain, ruled = contract("v2", OLD), contract("v2", OLD, upgrade="[upgrade.from.v1]")
    assert compare(plain, ruled) == ()
    assert plain.digest == hashlib.sha256(contract_text("v2", OLD).encode()).hexdigest()
    assert (plain.upgrades, [rules.old for rules in ruled.upgrades]) == ((), ["v1"])
    assert hash(ruled) != hash(plain)


def test_one_contract_may_lead_up_from_several_versions() -> None:
    text = contract_text("v3", {"b": COUNT}, upgrade=rules_text('{rename = "a", to = "b"}') + rules_text(old="v2"))
    newest = parse_contract(text.encode(), "v3.toml")
    assert bind_upgrade(contract("v1", {"a": COUNT}), newest, "v3.toml").row([4]) == ([4], [])
    assert bind_upgrade(contract("v2", {"b": COUNT}), newest, "v3.toml").row([4]) == ([4], [])


def test_every_operation_member_and_failure_is_documented() -> None:
    page = PAGE.read_text(encoding="utf-8")
    section = page[page.index("## Upgrade rules") :]
    for operation, example in EXAMPLES.items():
        assert f"| `{operation}` | `{example}` |" in section
    for code, meaning in FAILURES.items():
        assert f"| `{code}` | {meaning} |" in section
    for member in {*chain(*MEMBERS_OF.values()), *MEMBERS, "one_way"}:
        assert re.search(rf"`{member}|{member} =", section), member
