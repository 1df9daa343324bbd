"""What a guide says of two contracts, in the words that a partner reads."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from upgrade_text import CM, CODE, COUNT, LABELS, MM, NAME, SIZE, contract, rules_text

from gatehouse.contracts.upgrade import bind_upgrade
from gatehouse.contracts.upgrade_guide import guide_facts
from gatehouse.migration.endpoint import Deprecation, Endpoint, Extension
from gatehouse.migration.guide import guide_of, life_of
from gatehouse.migration.guide_markdown import markdown
from gatehouse.migration.guide_text import guide_document

BASE = "https://api.example.org"
NOW = datetime(2026, 11, 21, tzinfo=UTC)
VALUE = '[output]\ntask = "regression"\nunit = "{}"\ndecimals = {}\n'
OLD = {"length": CM, "size": SIZE, "blood": NAME, "first": NAME, "last": NAME, "count": COUNT, "gone": COUNT}
NEW = {
    "length_mm": MM,
    "code": CODE,
    "high": 'type = "integer"\nminimum = 1\nexample = 2',
    "low": 'type = "number"\nexample = 1',
    "whole": 'type = "text"\nmax_length = 30\nexample = "a"',
    "count": COUNT,
    "always": CODE,
    "extra": 'type = "boolean"\nrequired = false\ndefault = true\nexample = true',
}
RULES = (
    '{scale = "length", to = "length_mm", factor = 10, note = "In millimetres"}',
    '{map = "size", to = "code", values = {small = "S"}, partial = true}',
    '{split = "blood", separator = "/", to = ["high", "low"], partial = true}',
    '{join = ["first", "last"], separator = " ", to = "whole"}',
    '{constant = "L", to = "always"}',
    '{drop = "gone", note = "Never used"}',
)


def guide(old_output: str = LABELS, new_output: str = LABELS, *, answer: str = "", options: str = "", **told: Any) -> dict[str, Any]:
    text = rules_text(*RULES, answer=answer, options=options)
    bound = bind_upgrade(contract("v1", OLD, old_output), contract("v2", NEW, new_output, upgrade=text), "v2")
    return guide_of(guide_facts(bound), BASE, **told)


def text_of(found: dict[str, Any]) -> str:
    return markdown(guide_document(found))


def test_every_field_stands_in_the_table_with_what_becomes_of_it() -> None:
    text = text_of(guide())
    rows = [
        line.strip("| ").split(" | ")
        for line in text.split("## Fields")[1].split("## ")[0].splitlines()
        if line.startswith("| `") or "| — |" in line
    ]
    assert [row[1].partition("<br>")[0].strip("`") for row in rows] == [*NEW, "—"]
    assert rows[0] == [
        "`length`<br>number, cm, 1 to 20",
        "`length_mm`<br>number, mm, 10 to 200",
        '"length_mm" (mm) is "length" (cm) × 10<br>Note: In millimetres',
        "`5` → `50`",
    ]
    assert rows[6][0] == "—"
    assert rows[-1][2] == '"gone" is no longer taken<br>Note: Never used'


def test_rows_that_the_newer_version_refuses_are_named_with_their_values() -> None:
    refused = text_of(guide()).split("## Rows that v2 refuses")[1].split("## ")[0]
    assert "- `size` \"large\": becomes 'code', which is not said for this value" in refused


def test_where_the_example_cannot_be_upgraded_a_row_is_shown_that_can() -> None:
    found = guide()  # the example of `blood` has no two parts
    (old,), (new,) = found["examples"]["old"]["instances"], found["examples"]["new"]["instances"]
    assert old["blood"] == "1/2"
    assert (new["high"], new["low"]) == (1, 2)
    assert found["fields"][2]["after"] is None


def test_a_label_or_a_value_is_said_to_come_back_or_not() -> None:
    assert "Labels keep their names." in text_of(guide())
    cents = guide(VALUE.format("EUR", 2), VALUE.format("cent", 0), answer="factor = 0.01")
    assert "The value of v1 (EUR) is that of v2 (cent) × 0.01." in text_of(cents)
    assert "| decimals | 2 | 0 |" in text_of(cents)
    one_way = text_of(guide(LABELS, VALUE.format("EUR", 2), options="one_way = true"))
    assert "Answers of v2 mean something else than those of v1" in one_way
    assert "| task | classification | regression |" in one_way


@pytest.mark.parametrize(
    ("endpoint", "tenant_id", "said"),
    [
        (Endpoint("pair", "v1", "active", "1.0.0"), "tnt_1", "pair/v1 goes on."),
        (
            Endpoint("pair", "v1", "deprecated", "1.0.0", deprecation=Deprecation(NOW, date(2027, 6, 30), "v2")),
            "tnt_1",
            "pair/v1 is deprecated since 2026-11-21 and answers you until the end of 2027-06-30 (UTC).",
        ),
        (
            Endpoint(
                "pair",
                "v1",
                "deprecated",
                "1.0.0",
                deprecation=Deprecation(NOW, date(2026, 11, 1), "v2"),
                extensions=(Extension("tnt_1", "acme", date(2027, 9, 30)),),
            ),
            "tnt_1",
            "answers you until the end of 2027-09-30 (UTC).",
        ),
        (
            Endpoint("pair", "v1", "deprecated", "1.0.0", deprecation=Deprecation(NOW, date(2026, 11, 1), "v2")),
            "tnt_2",
            "pair/v1 is retired and answers no more; its last day was 2026-11-01 (UTC).",
        ),
        (Endpoint("pair", "v1", "retired", "1.0.0", retired_at=NOW), "tnt_1", "pair/v1 is retired and answers no more."),
    ],
)
def test_it_says_until_when_the_older_version_answers_this_tenant(endpoint: Endpoint, tenant_id: str, said: str) -> None:
    assert said in text_of(guide(life=life_of(endpoint, NOW, tenant_id)))


def test_a_map_of_thousands_of_values_does_not_fill_the_page() -> None:
    names = [f"name number {number}" for number in range(3_000)]
    listed = ", ".join(f'"{name}"' for name in names)
    feature = f'type = "category"\nallowed = [{listed}]\nexample = "{names[0]}"'
    values = ", ".join(f'"{name}" = "{name}"' for name in names)
    text = rules_text(f'{{map = "size", to = "code", values = {{{values}}}}}')
    bound = bind_upgrade(contract("v1", {"size": feature}), contract("v2", {"code": feature}, upgrade=text), "v2")
    fields = text_of(guide_of(guide_facts(bound), BASE)).split("## Fields")[1].split("## ")[0]
    assert "… (the code below has all of it)" in fields
    assert len(fields) < 2_000
