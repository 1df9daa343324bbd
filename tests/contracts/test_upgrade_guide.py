"""The facts of a guide: examples without the noise of doubles, and the gaps that the proof finds."""

import json

from upgrade_text import CM, upgrade

from gatehouse.contracts.upgrade_guide import guide_facts
from gatehouse.contracts.upgrade_proof import prove

LENGTH = CM.replace("example = 5", "example = 4.35")
WIDE = 'type = "number"\nunit = "mm"\nexample = 1'


def test_examples_are_shown_without_the_noise_of_doubles() -> None:
    facts = guide_facts(upgrade({"length": LENGTH}, {"length_mm": WIDE}, '{scale = "length", to = "length_mm", factor = 100}'))
    assert 4.35 * 100 < 435
    assert (facts["fields"][0]["before"], facts["fields"][0]["after"]) == ({"length": 4.35}, {"length_mm": 435})
    assert facts["examples"]["new"] == {"instances": [{"length_mm": 435}]}
    assert json.loads(json.dumps(facts)) == facts


def test_an_example_is_not_rounded_out_of_its_own_range() -> None:
    above = WIDE.replace("example = 1", "exclusive_maximum = 435\nexample = 12")
    bound = upgrade({"length": LENGTH}, {"length_mm": above}, '{scale = "length", to = "length_mm", factor = 100, partial = true}')
    assert guide_facts(bound)["fields"][0]["after"] == {"length_mm": 4.35 * 100}


def test_the_gaps_are_those_of_the_proof_and_their_codes_are_explained() -> None:
    small = WIDE.replace("example = 1", "maximum = 500\nexample = 1")
    bound = upgrade({"length": LENGTH}, {"length_mm": small}, '{scale = "length", to = "length_mm", factor = 100, partial = true}')
    facts = guide_facts(bound)
    (gap,) = facts["gaps"]
    assert [(gap["sources"], gap["values"], gap["detail"])] == [
        (list(each.sources), each.values, each.detail) for each in prove(bound).gaps
    ]
    assert gap["values"] == "above 5 cm"
    assert facts["codes"][gap["code"]] == "the number that the rule makes is outside the newer contract's range"


def test_where_no_row_can_be_upgraded_there_is_no_example() -> None:
    never = WIDE.replace("example = 1", "minimum = 10000\nexample = 20000")
    bound = upgrade({"length": LENGTH}, {"length_mm": never}, '{scale = "length", to = "length_mm", factor = 100, partial = true}')
    assert guide_facts(bound)["examples"] is None
