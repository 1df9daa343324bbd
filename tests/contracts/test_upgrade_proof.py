"""The proof of a rule set: it finds what is planted, in every operation, and says which rows they are."""

import pytest
from upgrade_text import CM, CODE, COUNT, FLAG, MM, NAME, SIZE, Fields, upgrade

from gatehouse.contracts.upgrade import Upgrade
from gatehouse.contracts.upgrade_proof import Gap, exact_gaps, prove

NULLABLE = "\nnullable = true"
LEFT_OUT = "\nrequired = false\nnullable = true"
NUMBER = 'type = "number"\nexample = 1'
PAIRS = 'type = "category"\nallowed = ["S/1", "L/2"]\nexample = "S/1"'
JOINED = 'type = "category"\nallowed = ["S-small", "S-large", "L-small", "L-large"]\nexample = "S-small"'


def gaps(old: Fields, new: Fields, *rules: str) -> dict[tuple[str, str], Gap]:
    bound: Upgrade = upgrade(old, new, *rules)
    found = {(gap.target, gap.code): gap for gap in exact_gaps(bound)}
    assert prove(bound).gaps == tuple(found.values())  # drawn rows show nothing that was not proved
    for (target, code), gap in found.items():
        row = [gap.witness.get(feature.name, feature.example) for feature in bound.old.features]
        assert (target, code) in {(failure.target, failure.fault.code) for failure in bound.row(row)[1]}
    return found


KEEP, RENAME, SCALE = '{keep = "a"}', '{rename = "a", to = "b"}', '{scale = "a", to = "b", factor = 10}'
MAP = '{map = "a", to = "b", values = {small = "S", large = "L"}, partial = true}'
SPLIT, JOIN = '{split = "a", separator = "/", to = ["b", "c"]}', '{join = ["a", "c"], separator = "-", to = "b"}'


@pytest.mark.parametrize(
    ("old", "new", "rule", "planted", "place", "code", "values"),
    [
        ({"a": CM}, {"a": CM}, KEEP, {"a": CM.replace("20", "19.5")}, "a", "out_of_range", "above 19.5 cm"),
        (
            {"a": CM},
            {"a": CM},
            KEEP,
            {"a": CM.replace("minimum = 1", "exclusive_minimum = 1")},
            "a",
            "out_of_range",
            "of 1 cm or less",
        ),
        ({"a": CM + NULLABLE}, {"a": CM + NULLABLE}, KEEP, {"a": CM}, "a", "null_not_allowed", "null"),
        ({"a": CM + LEFT_OUT}, {"a": CM + LEFT_OUT}, KEEP, {"a": CM}, "a", "null_not_allowed", "null"),
        ({"a": COUNT}, {"b": COUNT}, RENAME, {"b": COUNT.replace("minimum = 0", "minimum = 2")}, "b", "out_of_range", "below 2"),
        ({"a": COUNT}, {"b": NUMBER}, RENAME, {"b": NUMBER + "\nmaximum = 4.5"}, "b", "out_of_range", "above 4.5"),
        ({"a": SIZE}, {"b": SIZE}, RENAME, {"b": SIZE.replace(', "large"', "")}, "b", "not_allowed", '"large"'),
        ({"a": SIZE}, {"b": NAME}, RENAME, {"b": NAME.replace("10", "4")}, "b", "too_long", '"small", "large"'),
        ({"a": NAME}, {"b": NAME}, RENAME, {"b": NAME.replace("10", "9")}, "b", "too_long", '"xxxxxxxxxx"'),
        ({"a": CM}, {"b": MM}, SCALE, {"b": MM.replace("= 200", "= 120")}, "b", "out_of_range", "above 12 cm"),
        ({"a": CM}, {"b": MM}, SCALE, {"b": MM.replace("= 10", "= 15")}, "b", "out_of_range", "below 1.5 cm"),
        ({"a": COUNT}, {"b": NUMBER}, SCALE, {"b": NUMBER + "\nminimum = 1\nmaximum = 45"}, "b", "out_of_range", "below 0.1 and above 4.5"),
        ({"a": SIZE}, {"b": CODE}, MAP, MAP.replace(', large = "L"', ""), "b", "not_allowed", '"large"'),
        ({"a": SIZE + NULLABLE}, {"b": CODE + NULLABLE}, MAP, {"b": CODE}, "b", "null_not_allowed", "null"),
        ({"a": PAIRS}, {"b": CODE, "c": COUNT}, SPLIT, {"b": CODE.replace(', "L"', "")}, "b", "not_allowed", '"L/2"'),
        (
            {"a": PAIRS},
            {"b": CODE, "c": COUNT},
            SPLIT,
            {"c": COUNT.replace("= 5", "= 1").replace("= 3", "= 1")},
            "c",
            "out_of_range",
            '"L/2"',
        ),
        ({"a": PAIRS}, {"b": CODE, "c": COUNT}, SPLIT, SPLIT.replace('"/"', '"1"'), "b", "wrong_parts", '"L/2"'),
        ({"a": CODE, "c": SIZE}, {"b": JOINED}, JOIN, {"b": JOINED.replace(', "L-large"', "")}, "b", "not_allowed", '"L" + "large"'),
        ({"a": CODE, "c": SIZE}, {"b": NAME}, JOIN, {"b": NAME.replace("10", "6")}, "b", "too_long", '"S" + "small"'),
        ({"a": CODE, "c": SIZE + NULLABLE}, {"b": NAME + NULLABLE}, JOIN, {"b": NAME}, "b", "null_not_allowed", '"S" + null'),
    ],
)
def test_a_planted_violation_is_found_and_its_rows_are_named(
    old: Fields, new: Fields, rule: str, planted: Fields | str, place: str, code: str, values: str
) -> None:
    assert gaps(old, new, rule) == {}
    worse = gaps(old, new, planted) if isinstance(planted, str) else gaps(old, new | planted, rule)
    gap = worse[place, f"upgrade_{code}"]
    assert gap.values == values
    assert gap.target == place
    assert str(gap).startswith(f"{' and '.join(gap.sources)} {values}: becomes '{place}', which ")


def test_the_ends_of_a_range_are_tried_in_the_arithmetic_that_serves() -> None:
    tenth = 'type = "number"\nminimum = 0.1\nmaximum = 1\nexample = 0.5'
    found = gaps({"a": tenth}, {"b": NUMBER + "\nminimum = 0\nmaximum = 3"}, '{scale = "a", to = "b", factor = 3}')
    assert found == {}
    thirds = 'type = "number"\nminimum = 0\nmaximum = 0.1\nexample = 0.05'
    found = gaps({"a": thirds}, {"b": 'type = "number"\nmaximum = 0.3\nexample = 0'}, '{scale = "a", to = "b", factor = 3}')
    assert found["b", "upgrade_out_of_range"].values == "of 0.1, by rounding"


def test_ranges_that_never_meet_are_said_to_fail_always() -> None:
    found = gaps({"a": CM}, {"b": MM.replace("= 10", "= 190").replace("= 50", "= 195")}, '{scale = "a", to = "b", factor = 1}')
    assert found["b", "upgrade_out_of_range"].values == "of 1.0 to 20.0 cm, that is always"


@pytest.mark.parametrize("exclusive", ["", "exclusive_"])
def test_an_open_or_exclusive_end_is_tried_at_the_outermost_value_that_can_be_sent(exclusive: str) -> None:
    old = f'type = "number"\n{exclusive}minimum = 0\n{exclusive}maximum = 7\nexample = 1'
    assert gaps({"a": old}, {"b": old}, RENAME) == {}
    assert gaps({"a": NUMBER}, {"b": NUMBER}, RENAME) == {}
    assert gaps({"a": NUMBER}, {"b": NUMBER + "\nminimum = -3e38"}, RENAME)["b", "upgrade_out_of_range"].values == "below -3e+38"
    whole = f'type = "integer"\n{exclusive}minimum = 0\n{exclusive}maximum = 7\nexample = 1'
    inside = 'type = "integer"\nminimum = 1\nmaximum = 6\nexample = 1'
    assert bool(gaps({"a": whole}, {"b": inside}, RENAME)) is (exclusive == "")


def test_a_free_text_that_is_split_is_never_total_and_every_reason_is_named() -> None:
    new = {"b": CODE, "c": COUNT, "d": NAME, "e": NUMBER + "\nmaximum = 10"}
    text = 'type = "text"\nmax_length = 60\nexample = "S/1/x/2"'
    found = gaps({"a": text}, new, '{split = "a", separator = "/", to = ["b", "c", "d", "e"], partial = true}')
    reasons = {target: {code.removeprefix("upgrade_") for other, code in found if other == target} for target in new}
    assert reasons == {
        "b": {"wrong_parts", "not_allowed"},
        "c": {"wrong_parts", "wrong_type", "not_an_integer", "out_of_range"},
        "d": {"wrong_parts", "too_long"},
        "e": {"wrong_parts", "wrong_type", "out_of_range"},
    }


def test_a_gap_that_its_rule_admits_is_declared() -> None:
    narrow = {"b": MM.replace("= 200", "= 120"), "c": FLAG}
    for partial, undeclared in (("", 1), (", partial = true", 0)):
        proof = prove(upgrade({"a": CM, "c": FLAG}, narrow, f'{{scale = "a", to = "b", factor = 10{partial}}}'))
        assert (len(proof.gaps), len(proof.undeclared)) == (1, undeclared)
        assert proof.gaps[0].place == "upgrade.from.v1.rules[0]"


def test_a_field_that_stays_by_its_name_is_proved_as_well() -> None:
    proof = prove(upgrade({"a": CM}, {"a": CM.replace("= 20", "= 12")}))
    assert [(gap.place, gap.declared, gap.values) for gap in proof.undeclared] == [("features.a", False, "above 12 cm")]


def test_a_proof_is_the_same_again() -> None:
    bound = upgrade({"a": CM, "n": NAME}, {"b": MM.replace("= 200", "= 120"), "n": NAME.replace("10", "3")}, SCALE)
    assert prove(bound) == prove(bound)
    assert prove(bound).rows > 500
