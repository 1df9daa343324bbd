"""SECURITY.md, row 49: no change of what processes remember goes without its row in the audit trail."""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "platform" / "gatehouse"
NUMBERED = {"record_change", "record_changes"}
NOBODYS = {"server/process.py"}
"""Processes come and go by themselves."""


def calls_of(function: ast.FunctionDef) -> set[str]:
    called = (node.func for node in ast.walk(function) if isinstance(node, ast.Call))
    return {name.attr if isinstance(name, ast.Attribute) else name.id for name in called if isinstance(name, ast.Attribute | ast.Name)}


def changing() -> Iterator[tuple[str, set[str]]]:
    for file in sorted(PACKAGE.rglob("*.py")):
        place = file.relative_to(PACKAGE).as_posix()
        if place in NOBODYS or place == "db/revision.py":
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and NUMBERED & calls_of(node):
                yield f"{place}:{node.name}", calls_of(node)


def test_row_49_whoever_numbers_a_change_audits_it_too() -> None:
    found = dict(changing())
    assert len(found) > 15
    silent = [name for name, called in found.items() if not any("audit" in each for each in called)]
    assert silent == []
