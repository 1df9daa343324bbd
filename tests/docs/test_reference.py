"""docs/reference/ is what the program says: every setting, error code, command and URL, and no other."""

import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from access_table import access_table

from gatehouse.cli import COMMANDS, load_command
from gatehouse.errors import CATALOGUE
from gatehouse.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "reference"


def text_of(page: str) -> str:
    return (FOLDER / page).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "scripts" / "write_reference.py"))


def test_each_page_is_what_the_script_would_write(script: dict[str, Any]) -> None:
    written = script["pages"]()

    assert {file.name for file in FOLDER.iterdir()} == set(written)
    for name, text in written.items():
        assert text_of(name) == text, f"docs/reference/{name} is behind: run: .venv/bin/python scripts/write_reference.py"


def test_the_settings_are_those_of_the_program() -> None:
    named = re.findall(r"^\| `(GATEHOUSE_\w+)` \|", text_of("settings.md"), re.MULTILINE)

    assert named == [PREFIX + field.upper() for field in Settings.model_fields]


def test_the_codes_are_those_of_the_catalogue() -> None:
    named = re.findall(r"^\| \d{3} \| `(\w+)` \|", text_of("errors.md"), re.MULTILINE)

    assert sorted(named) == sorted(CATALOGUE)


def test_a_code_of_an_entry_that_has_no_line_stops_the_script(script: dict[str, Any]) -> None:
    script["ENTRY_CODES"].pop("too_long")

    with pytest.raises(SystemExit, match="too_long"):
        script["errors_page"]()


def commands_of(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    verbs = getattr(command, "commands", None)
    if verbs is None:
        yield name, command
    else:
        for verb, inner in verbs.items():
            yield from commands_of(inner, f"{name} {verb}")


def test_the_commands_are_those_of_the_program_with_every_option() -> None:
    parts = re.split(r"^#{2,3} gatehouse ", text_of("commands.md"), flags=re.MULTILINE)[1:]
    shown = {part.partition("\n")[0]: part for part in parts if "\nFor example `" in part}
    there = dict(pair for noun in COMMANDS for pair in commands_of(load_command(noun), noun))

    assert list(shown) == list(there)
    options = {(name, option) for name, command in there.items() for one in command.params for option in one.opts if option[0] == "-"}
    assert len(options) > 100
    assert [(name, option) for name, option in options if not re.search(rf"[`/ ]{option}[` ,/]", shown[name])] == []


def test_the_urls_and_scopes_are_those_of_the_table_of_who_may_call_what() -> None:
    rows = re.findall(r"^\| `([A-Z]+ /\S*)` \| (.*?) \|", text_of("http.md"), re.MULTILINE)
    tabled = {str(access): access.scope for access in access_table()}

    assert sorted(route for route, _ in rows) == sorted(tabled)
    named = {route: re.findall(r"^`(\S+)`$", scope) for route, scope in rows}
    assert {route: [scope] if scope else [] for route, scope in tabled.items()} == named
