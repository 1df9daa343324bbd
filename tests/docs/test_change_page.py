"""docs/change.md and CONTRIBUTING.md name files and commands that are there."""

import re

import pytest
from documents import ROOT

TEXT = (ROOT / "docs" / "change.md").read_text(encoding="utf-8")
RECIPES = re.findall(r"^## (.+)\n((?:(?!^## ).*\n)*)", TEXT, re.MULTILINE)
PATH = re.compile(r"`((?:platform|docs|tests|alembic|scripts|models|deploy)/[\w./-]*|\.env\.example)`")
NAME = re.compile(r"`([A-Z]\w+|[A-Z_]+|_?[a-z]+_[a-z_]+)`")


def test_there_are_the_five_recipes() -> None:
    assert [title for title, _ in RECIPES] == ["An error", "A limit", "A route", "An engine", "A table"]


@pytest.mark.parametrize(("title", "text"), RECIPES, ids=[title for title, _ in RECIPES])
def test_every_path_of_a_recipe_is_there(title: str, text: str) -> None:
    named = PATH.findall(text) + re.findall(r"`python (scripts/\S+)`", text)

    assert len(named) > 5
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize(("title", "text"), RECIPES, ids=[title for title, _ in RECIPES])
def test_every_name_of_a_recipe_stands_in_a_file_that_it_names(title: str, text: str) -> None:
    files = [ROOT / path for path in PATH.findall(text) if (ROOT / path).is_file()]
    sources = "\n".join(file.read_text(encoding="utf-8") for file in files)

    assert [name for name in NAME.findall(text) if name not in sources] == []


def test_contributing_has_the_five_commands() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    commands = re.findall(r"^\| `(.+?)` \|", text, re.MULTILINE)

    assert commands[:4] == ["make run", "make test", "make check", "make format"]
    assert len(commands) == 5
    assert (ROOT / commands[4].split()[1]).is_dir()
