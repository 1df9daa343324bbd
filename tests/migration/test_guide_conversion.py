"""The Python of a guide, run on drawn rows of generated pairs of contracts: it says what the server's own rules say."""

import json
import re
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from upgrade_pairs import pairs
from upgrade_text import CM, MM, NAME, contract, rules_text, upgrade

from gatehouse.contracts.cells import Fault, cell_check
from gatehouse.contracts.drawing import draw_cells
from gatehouse.contracts.upgrade import Upgrade, bind_upgrade
from gatehouse.contracts.upgrade_guide import guide_facts
from gatehouse.migration.guide_python import python_conversion

ROWS = 12
AWKWARD = 'it\'s "quoted" \\ `code` $(id) </script> | {x} % é ‮'


def converter(bound: Upgrade) -> Callable[[Any], Any]:
    """`to_v2` of the guide."""
    space: dict[str, Any] = {"re": re}
    exec(python_conversion(guide_facts(bound)["fields"], bound.new.api_version), space)
    return space["to_v2"]


def refused(bound: Upgrade, record: dict[str, Any]) -> bool:
    """Whether the newer contract refuses it."""
    return any(isinstance(cell_check(feature)(record[feature.name]), Fault) for feature in bound.new.features if feature.name in record)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(pairs())
def test_the_python_makes_what_the_rules_make_and_nothing_valid_of_a_row_that_fails(bound: Upgrade) -> None:
    convert = converter(bound)
    for cells in draw_cells(bound.old.features, ROWS, 3):
        sent = json.loads(json.dumps(dict(zip(bound.old.names, cells, strict=True))))
        made, failures = bound.row(cells)
        if not failures:
            assert convert(sent) == bound.record(made)
            continue
        try:
            record = convert(sent)
        except (KeyError, ValueError):
            continue
        assert refused(bound, record)


def test_a_field_that_may_be_left_out_is_converted_as_its_default() -> None:
    left_out = "\nrequired = false\ndefault = 4"
    bound = upgrade(
        {"length": CM + left_out, "name": NAME + "\nrequired = false\nnullable = true"},
        {"length_mm": MM, "name": NAME + "\nnullable = true"},
        '{scale = "length", to = "length_mm", factor = 10}',
    )
    assert converter(bound)({}) == {"length_mm": 40, "name": None}


def test_whatever_a_category_is_called_the_code_stays_code() -> None:
    toml = json.dumps(AWKWARD, ensure_ascii=False)
    old = {"size": f'type = "category"\nallowed = [{toml}]\nexample = {toml}'}
    new = {"code": f'type = "category"\nallowed = [{toml}, "x"]\nexample = "x"', "always": 'type = "text"\nexample = "x"'}
    text = rules_text(f'{{map = "size", to = "code", values = {{{toml} = {toml}}}}}', f'{{constant = {toml}, to = "always"}}')
    bound = bind_upgrade(contract("v1", old), contract("v2", new, upgrade=text), "v2.toml")
    assert converter(bound)({"size": AWKWARD}) == {"code": AWKWARD, "always": AWKWARD}


def test_a_number_beyond_exact_integers_is_rounded_as_the_server_rounds() -> None:
    wide = 'type = "number"\nunit = "{}"\nexample = 1'
    bound = upgrade({"a": wide.format("cm")}, {"b": wide.format("mm")}, '{scale = "a", to = "b", factor = 3, offset = 7}')
    sent = 2**53 + 1  # not a double
    assert converter(bound)({"a": sent}) == {"b": bound.row([float(sent)])[0][0]}


def test_a_factor_of_a_tenth_divides_by_ten_as_the_server_does() -> None:
    bound = upgrade({"a": MM}, {"b": CM}, '{scale = "a", to = "b", factor = 0.1}')
    assert converter(bound)({"a": 33}) == {"b": 3.3}  # 33 × 0.1 is 3.3000000000000003
