"""docs/http.md, "Commands and routes": what the shell can do HTTP can too, and the other way round, but for what is named with a reason."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from stage import Stage

from gatehouse.cli import COMMANDS, load_command
from gatehouse.principal import Scope

PAGE = Path(__file__).parents[2] / "docs" / "http.md"
HEADING = "## Commands and routes"
QUOTED = re.compile(r"`([^`]+)`")


def rows(columns: str) -> list[tuple[list[str], str]]:
    """Of the table with these columns: the commands of the first cell, and the other cell."""
    section = PAGE.read_text(encoding="utf-8").partition(HEADING)[2].partition("\n## ")[0]
    table = section.partition(f"| {columns} |\n")[2].partition("\n\n")[0]
    cells = [line.strip("| ").split(" | ", 1) for line in table.splitlines() if not line.startswith("| ---")]
    return [(QUOTED.findall(commands), other.strip()) for commands, other in cells]


def commands_of(command: Any, name: str) -> Iterator[str]:
    """The command, or those of its group."""
    verbs = getattr(command, "commands", None)
    if verbs is None:
        yield name
    else:
        for verb, inner in verbs.items():
            yield from commands_of(inner, f"{name} {verb}")


def doubled(names: list[str]) -> set[str]:
    return {name for name in names if names.count(name) > 1}


def test_the_tables_name_each_command_once_and_no_other() -> None:
    named = [command for columns in ("command | route", "command | why") for commands, _ in rows(columns) for command in commands]
    there = {command for noun in COMMANDS for command in commands_of(load_command(noun), noun)}
    assert len(there) > 90
    assert there - set(named) == set(), "give it a route, or a reason why it has none"
    assert set(named) - there == set(), "there is no such command"
    assert doubled(named) == set()


def test_what_has_no_route_has_a_reason() -> None:
    assert [commands for commands, reason in rows("command | why") if len(reason.split()) < 4] == []


@pytest.mark.endpoints("iris v1")
def test_the_table_names_every_admin_route_of_the_document_and_no_other(stage: Stage) -> None:
    with stage.serving(load_models="lazy") as live:
        paths = live.get("/openapi.json", stage.key("_operator", scopes=frozenset(Scope))).json()["paths"]
    there = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods if path.startswith("/admin")}
    named = {route for _, routes in rows("command | route") for route in QUOTED.findall(routes)}
    assert there - named == set(), "give it a command"
    assert named - there == set(), "there is no such route"
