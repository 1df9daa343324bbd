"""`gatehouse tenants welcome`: the page on standard output or in a file, notes and refusals apart from it."""

import json
from pathlib import Path
from typing import Any

import pytest

NOTES = (
    "note: the page leads to http://127.0.0.1:8000; set GATEHOUSE_PUBLIC_URL to the address that partners call\n"
    "note: the page names nobody to ask; set GATEHOUSE_CONTACT to an e-mail address or a page\n"
)


def test_the_page_alone_is_printed_and_what_it_lacks_is_noted_apart(published: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    published("tenants", "create", "acme", "--models", "pair")
    told = published("tenants", "welcome", "acme")
    assert told.out.startswith("# Predictions for acme\n\nYour programs ask `http://127.0.0.1:8000` and get predictions as JSON.")
    assert told.error == NOTES
    monkeypatch.setenv("GATEHOUSE_PUBLIC_URL", "https://api.example.org")
    monkeypatch.setenv("GATEHOUSE_CONTACT", "help@example.org")
    told = published("tenants", "welcome", "acme")
    assert told.error == ""
    assert "curl -sS https://api.example.org/v1/models/pair/predict \\\n" in told.out
    assert "Ask `help@example.org`, and name" in told.out


def test_it_comes_in_each_format_and_goes_into_a_file(published: Any, tmp_path: Path) -> None:
    published("tenants", "create", "acme", "--models", "pair")
    file = tmp_path / "acme.html"
    told = published("tenants", "welcome", "acme", "--format", "html", "--output", file)
    assert told.out == f"{file} is for the developers of acme; give them a key apart from it: gatehouse keys create --tenant acme\n"
    page = file.read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert "<title>Predictions for acme</title>" in page
    facts = published("tenants", "welcome", "acme", "--json").json
    assert [each["model"] for each in facts["endpoints"]] == ["pair"]
    published("tenants", "welcome", "acme", "--format", "json", "--output", file)
    assert json.loads(file.read_text()) == facts


def test_what_cannot_be_written_is_refused_in_one_line(published: Any, tmp_path: Path) -> None:
    published("tenants", "create", "acme")
    nothing = "gatehouse: acme may call nothing yet, so there is nothing to welcome it with: gatehouse grants add acme pair\n"
    assert published("tenants", "welcome", "acme", code=1).error == nothing
    assert published("tenants", "welcome", "acm", code=1).error.endswith("did you mean acme?\n")
    published("grants", "add", "acme", "pair")
    nowhere = tmp_path / "no" / "acme.md"
    assert (
        published("tenants", "welcome", "acme", "--output", nowhere, code=1).error
        == f"gatehouse: {nowhere} cannot be written: No such file or directory; check the path\n"
    )
