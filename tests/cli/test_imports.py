"""`gatehouse tenants import` and `gatehouse keys import`: all lines or none, and the keys shown once."""

import csv
import io
from pathlib import Path
from typing import Any

from secrecy import remember


def test_tenants_and_their_keys_are_made_of_files(published: Any, tmp_path: Path) -> None:
    tenants, keys = tmp_path / "tenants.csv", tmp_path / "keys.csv"
    tenants.write_text("name,plan,models\nalder,standard,pair\nbirch,,\n")
    keys.write_text("tenant,name,expires_at\nalder,nightly,2090-06-30\nbirch,,\n")
    assert published("tenants", "import", str(tenants), "--dry-run").lines == [
        "lines that can be made, which are all: 2; to make them: without --dry-run"
    ]
    assert published("tenants", "list", "--json").json == []
    made = published("tenants", "import", str(tenants))
    assert made.lines == ["tenants that were made: 2; their keys: gatehouse keys import FILE"]
    assert "writing 2 tenants" in made.error
    shown = published("keys", "import", str(keys))
    rows = list(csv.DictReader(io.StringIO(shown.out)))
    assert [(row["tenant"], row["name"], remember(row["key"]).split("_")[1] == row["id"]) for row in rows] == [
        ("alder", "nightly", True),
        ("birch", "default", True),
    ]
    assert "shown this once" in shown.error
    listed = published("keys", "list", "--json").json
    assert {key["id"] for key in listed} == {row["id"] for row in rows}
    assert listed[0]["expires_at"].startswith("2090-06-30T00:00:00")


def test_one_json_value_holds_what_was_made(published: Any, tmp_path: Path) -> None:
    tenants, keys = tmp_path / "tenants.csv", tmp_path / "keys.csv"
    tenants.write_text("name,models\nalder,pair\n")
    keys.write_text("tenant\nalder\n")
    made = published("tenants", "import", str(tenants), "--json").json
    assert (made["lines"], made["items"]) == (1, published("tenants", "list", "--json").json)
    assert published("keys", "import", str(keys), "--dry-run", "--json").json == {"dry_run": True, "lines": 1, "items": []}
    made = published("keys", "import", str(keys), "--json").json
    assert remember(made["items"][0]["key"]).startswith("gate_")


def test_a_wrong_line_is_named_and_nothing_is_made(published: Any, tmp_path: Path) -> None:
    file = tmp_path / "wrong.csv"
    file.write_text("name,plan\nalder,trial\nBirch,trial\ncedar\n")
    refused = published("tenants", "import", str(file), code=1)
    assert refused.error.strip().splitlines()[-1].endswith("nothing was changed: line 4: has 1 cells, the header has 2")
    file.write_text("name,plan\nalder,trial\nbirch,gold\n" + "".join(f"b{number},gold\n" for number in range(20)))
    said = published("tenants", "import", str(file), code=1).error.strip().splitlines()[-1]
    assert "line 3, plan: there is no such plan" in said
    assert said.endswith("; and 11 more")
    assert published("tenants", "list", "--json").json == []
    missing = published("keys", "import", str(tmp_path / "missing.csv"), code=1)
    assert "cannot be read: No such file or directory" in missing.error
