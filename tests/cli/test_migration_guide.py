"""`gatehouse migration guide`: written from what is published, before anything is deprecated."""

import json
from pathlib import Path
from typing import Any

import pytest
from contract_text import head

OUTPUT = '[output]\ntask = "classification"\nlabels = [{class = 0, name = "low"}, {class = 1, name = "high"}]\n'
RULES = '[upgrade.from.v1]\nrules = [{scale = "width", to = "width_mm", factor = 10, note = "In <mm> now"}]\n'


@pytest.fixture
def second(published: Any, estimator: Path, tmp_path: Path) -> Any:
    """Like `published`, with `pair` 2.0.0 whose rules lead up from v1; its endpoint is a preview."""
    text = head("pair", "v2", width_mm=(-40, 40, 5), height=(-4, 4, -1.5)) + OUTPUT + RULES
    (tmp_path / "v2.toml").write_text(text)
    published("models", "publish", estimator, "--contract", tmp_path / "v2.toml")
    return published


def test_a_guide_in_each_format_is_printed_or_written_to_a_file(second: Any, tmp_path: Path) -> None:
    text = second("migration", "guide", "pair", "v1", "v2").out
    assert text.startswith("# Move from pair v1 to v2\n\n**pair/v1 goes on. This page says how to call v2 instead.**\n")
    assert "| `width`<br>number, -4 to 4 | `width_mm`<br>number, -40 to 40 |" in text
    assert '"width_mm": row["width"] * 10,' in text
    assert second("migration", "guide", "pair", "v1", "v2", "--format", "markdown").out == text

    file = tmp_path / "guide.html"
    done = second("migration", "guide", "pair", "v1", "v2", "--format", "html", "--output", file)
    assert done.out == f"{file} says how to move from pair v1 to v2\n"
    page = file.read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert "Note: In &lt;mm&gt; now" in page

    facts = second("migration", "guide", "pair", "v1", "v2", "--json").json
    assert (facts["life"]["state"], facts["calls"]) == ("active", None)
    assert facts["examples"]["new"] == {"instances": [{"width_mm": 5, "height": -1.5}]}
    second("migration", "guide", "pair", "v1", "v2", "--format", "json", "--output", file)
    assert json.loads(file.read_text()) == facts, "what was there is replaced"

    nowhere = tmp_path / "no" / "guide.md"
    refused = second("migration", "guide", "pair", "v1", "v2", "--output", nowhere, code=1).error
    assert refused == f"gatehouse: {nowhere} cannot be written: No such file or directory; check the path\n"


def test_once_it_is_deprecated_the_guide_says_until_when(second: Any) -> None:
    second("endpoints", "activate", "pair", "v2")
    second("endpoints", "deprecate", "pair", "v1", "--sunset", "2099-06-30", "--successor", "v2", "--reason", "Better units")
    text = second("migration", "guide", "pair", "v1", "v2").out
    assert "and answers you until the end of 2099-06-30 (UTC).**\n\nReason: Better units\n" in text


REFUSED = {
    ("pair", "v1", "v3"): "no v3 of pair is published here; what is: gatehouse models list",
    ("nobody", "v1", "v2"): "no v1 of nobody is published here; what is: gatehouse models list",
    ("../pair", "v1", "v2"): "no v1 of ../pair is published here; what is: gatehouse models list",
    ("pair", "1", "v1"): "an API version is v1, v2, …",
    ("pair", "v1", "v1"): "pair/v1 is no later version than pair/v1; name the older one first",
    ("pair", "v2", "v1"): "pair/v1 is no later version than pair/v2; name the older one first",
}


def test_what_cannot_be_written_is_refused_in_one_line(published: Any) -> None:
    for arguments, said in REFUSED.items():
        error = published("migration", "guide", *arguments, code=1).error
        assert error.startswith(f"gatehouse: {said}")
        assert error.count("\n") == 1
