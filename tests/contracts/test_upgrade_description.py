"""Upgrade rules as plain data: enough for a guide that says each field before and after."""

import json
from pathlib import Path
from typing import Any

from upgrade_text import CM, CODE, COUNT, FLAG, MM, NAME, SIZE, upgrade

from gatehouse.contracts.contract import parse_contract
from gatehouse.contracts.upgrade import bind_upgrade
from gatehouse.contracts.upgrade_description import describe_upgrade

IRIS = Path(__file__).parents[2] / "models" / "iris"


def described() -> dict[str, Any]:
    """One rule of every kind."""
    pressure = 'type = "text"\nmax_length = 9\nexample = "120/80"'
    integer = 'type = "integer"\nexample = 1'
    return describe_upgrade(
        upgrade(
            {"age": COUNT, "flag": FLAG, "length": CM, "size": SIZE + "\nnullable = true", "blood": pressure, "first": NAME, "id": NAME},
            {
                "age": COUNT,
                "member": FLAG,
                "length_mm": MM,
                "code": CODE,
                "currency": NAME,
                "high": integer,
                "low": integer,
                "name": 'type = "text"\nexample = "a"',
                "late": integer + "\nrequired = false\ndefault = 7",
            },
            '{rename = "flag", to = "member"}',
            '{scale = "length", to = "length_mm", factor = 10, offset = -2.5, partial = true, note = "In millimetres now"}',
            '{map = "size", to = "code", values = {small = "S", large = "L"}, if_null = "L"}',
            '{constant = "EUR", to = "currency"}',
            '{split = "blood", separator = "/", to = ["high", "low"]}',
            '{join = ["first", "blood"], separator = " ", to = "name"}',
            '{drop = "id", note = "Nobody reads it"}',
        )
    )


def test_each_rule_says_what_it_does() -> None:
    said = described()
    assert [(each["operation"], each["says"]) for each in (*said["fields"], *said["dropped"])] == [
        ("keep", '"age" stays as it is'),
        ("rename", '"flag" is now called "member"'),
        ("scale", '"length_mm" (mm) is "length" (cm) × 10 − 2.5'),
        ("map", '"code" comes from "size": "small" becomes "S", "large" becomes "L"; where that is null, "L"'),
        ("constant", '"currency" is always "EUR"'),
        ("split", '"high" is part 1 of "blood", split at "/"'),
        ("split", '"low" is part 2 of "blood", split at "/"'),
        ("join", '"name" is "first" and "blood", with " " between them'),
        ("default", '"late" is new and may be left out; it is then 7'),
        ("drop", '"id" is no longer taken'),
    ]


def test_each_field_is_shown_before_and_after() -> None:
    fields = described()["fields"]
    assert [(each["before"], each["after"]) for each in fields] == [
        ({"age": 3}, {"age": 3}),
        ({"flag": True}, {"member": True}),
        ({"length": 5.0}, {"length_mm": 47.5}),
        ({"size": "small"}, {"code": "S"}),
        ({}, {"currency": "EUR"}),
        ({"blood": "120/80"}, {"high": 120}),
        ({"blood": "120/80"}, {"low": 80}),
        ({"first": "Ada", "blood": "120/80"}, {"name": "Ada 120/80"}),
        ({}, {"late": 7}),
    ]
    scale = fields[2]
    assert (scale["factor"], scale["offset"], scale["partial"], scale["note"]) == (10, -2.5, True, "In millimetres now")
    assert ([view["unit"] for view in scale["old"]], scale["new"]["unit"]) == (["cm"], "mm")


def test_it_is_json_and_holds_how_answers_go_back() -> None:
    old, new = (parse_contract((IRIS / name).read_bytes(), name) for name in ("v1.toml", "v2.toml"))
    said = describe_upgrade(bind_upgrade(old, new, "v2.toml"))
    assert json.loads(json.dumps(said)) == said
    assert (said["model"], said["from"], said["to"]) == ("iris", "v1", "v2")
    assert said["answers"][0]["labels"][0] == {"new": "Iris setosa", "old": "setosa"}
    assert said["fields"][0]["after"] == {"sepal_length_mm": 52.0}
