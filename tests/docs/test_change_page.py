"""docs/change.md and CONTRIBUTING.md name files and commands that are there; each recipe, followed in a copy of the tree, works."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from documents import ROOT
from recipe_steps import MARKS, NOT_TOUCHED, carry_out
from recipe_steps import RECIPES as EDITS

TEXT = (ROOT / "docs" / "change.md").read_text(encoding="utf-8")
RECIPES = re.findall(r"^## (.+)\n((?:(?!^## ).*\n)*)", TEXT, re.MULTILINE)
PATH = re.compile(r"`((?:platform|docs|tests|alembic|scripts|models|deploy)/[\w./-]*|\.env\.example)`")
NAME = re.compile(r"`([A-Z]\w+|[A-Z_]+|_?[a-z]+_[a-z_]+)`")
STEP = re.compile(r"^(\d+)\. (.*(?:\n {3}.*)*)", re.MULTILINE)
EXAMPLE = re.compile(r"as\s+in\s+`[^`]+`")
WRITTEN, WRITES = "docs/reference/", "`.venv/bin/python scripts/write_reference.py`"
COPIED = ("platform/", "alembic/", "scripts/", "docs/", "tests/support/", "pyproject.toml", ".env.example")
each_recipe = pytest.mark.parametrize(("title", "text"), RECIPES, ids=[title for title, _ in RECIPES])


def test_there_are_the_five_recipes() -> None:
    assert [title for title, _ in RECIPES] == ["An error", "A limit", "A route", "An engine", "A table"] == list(EDITS)


@each_recipe
def test_every_path_of_a_recipe_is_there(title: str, text: str) -> None:
    named = PATH.findall(text) + re.findall(r"`python (scripts/\S+)`", text)

    assert len(named) > 5
    assert [path for path in named if not (ROOT / path).exists()] == []


@each_recipe
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


@dataclass(frozen=True)
class Followed:
    """A copy of the tree in which every recipe was carried out."""

    tree: Path
    touched: dict[str, dict[int, set[str]]]
    """By recipe and step."""
    facts: dict[str, Any]
    """What changed_tree.py saw there."""
    migrations: str
    """What scripts/check_migrations.py said."""

    def text(self, name: str) -> str:
        return (self.tree / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    """The page, followed from an empty folder on."""
    tree, seen = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("seen") / "facts.json"
    copy_tree(tree)
    touched = {title: carry_out(title, tree) for title in EDITS}
    run(tree, "tests/support/changed_tree.py", str(seen))
    migrations = run(tree, "scripts/check_migrations.py")
    yield Followed(tree, touched, json.loads(seen.read_text(encoding="utf-8")), migrations)
    shutil.rmtree(tree)


def copy_tree(tree: Path) -> None:
    """What git tracks of it, or will, with what Python has compiled of these files."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *COPIED]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.rstrip("\0").split("\0"):
        compiled = [importlib.util.cache_from_source(str(ROOT / name))] if name.endswith(".py") else []
        for file in (ROOT / name, *map(Path, compiled)):
            if file.is_file() and file.is_relative_to(ROOT):
                target = tree / file.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, target)


def run(tree: Path, script: str, *arguments: str) -> str:
    """What a script of the copy prints."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("GATEHOUSE_")}
    environment = plain | {"PYTHONPATH": str(tree / "platform")}
    done = subprocess.run([sys.executable, script, *arguments], cwd=tree, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@each_recipe
def test_each_step_names_the_files_that_it_touches_and_no_others(title: str, text: str, followed: Followed) -> None:
    touched = followed.touched[title]
    steps = {int(number): step for number, step in STEP.findall(text)}
    by_words = {step: {edit.file for edit in EDITS[title] if edit.step == step and edit.words} for step in steps}
    named = {step: set(PATH.findall(EXAMPLE.sub("", told))) for step, told in steps.items()}

    assert NOT_TOUCHED[title] <= set().union(*named.values()), "an exception is not on the page any more"
    assert [edit.words for edit in EDITS[title] if edit.words not in " ".join(steps[edit.step].split())] == []
    for step in steps:
        asked = {path for path in named[step] - NOT_TOUCHED[title] if not path.startswith(WRITTEN)}
        files = touched.get(step, set()) - by_words[step]
        folders = {path for path in asked if path.endswith("/")}
        assert {one_of(folders, file) for file in files} == asked, f"step {step}"


def one_of(folders: set[str], file: str) -> str:
    """The folder that stands for a new file, or the file."""
    return next((folder for folder in folders if f"{Path(file).parent}/" == folder), file)


@each_recipe
def test_the_reference_tells_of_it_where_a_step_has_it_written(title: str, text: str, followed: Followed) -> None:
    pages = [file.name for file in sorted((ROOT / WRITTEN).iterdir())]
    before = {page for page in pages if MARKS[title] in (ROOT / WRITTEN / page).read_text(encoding="utf-8")}
    after = {page for page in pages if MARKS[title] in followed.text(f"{WRITTEN}{page}")}
    steps = " ".join(told for _, told in STEP.findall(text))

    assert before == set()
    assert bool(after) == (WRITES in steps)
    assert {Path(path).name for path in PATH.findall(steps) if path.startswith(WRITTEN)} <= after


def test_the_copy_itself_was_run_and_its_migrations_are_its_tables(followed: Followed) -> None:
    assert followed.facts["tree"] == str(followed.tree)
    assert "agree" in followed.migrations


def test_the_new_error_is_answered_and_has_its_place_page_and_heading(followed: Followed) -> None:
    facts, page = followed.facts, followed.facts["answered"]["page"]
    status, problem = facts["answered"]["predictions"][1]

    assert (status, problem["code"]) == (507, "answer_too_large")
    assert problem["type"].endswith("/errors/answer_too_large")
    assert "There is no room for the answer to so many rows." in page
    assert "Send the rows over several calls." in page
    assert facts["usage_page_agrees"]
    assert [code for code in facts["failing_codes"] if f"### `{code}`\n" not in followed.text("docs/runbook.md")] == []
    assert "answer_too_large" in facts["failing_codes"]


def test_the_new_limit_is_kept_shown_set_and_held(followed: Followed) -> None:
    facts, answered = followed.facts, followed.facts["answered"]
    status, problem = answered["predictions"][3]

    assert facts["stored"] == {"trial": 0, "daily": 3, "gold": 9}
    assert (facts["created"]["requests_per_day"], facts["edited"]["requests_per_day"]) == (7, 9)
    assert (answered["account"]["requests_per_day"], answered["plan"]["requests_per_day"]) == (3, 3)
    assert (status, problem["code"], problem["limit"]["name"]) == (429, "rate_limited", "tenant-day")


def test_the_new_route_and_its_command_answer_whom_the_table_lets_in(followed: Followed) -> None:
    answered = followed.facts["answered"]

    assert (answered["tenants"], followed.facts["tenants"]) == ({"items": ["acme"]}, ["acme"])
    assert answered["refused"] == "scope_missing"
    assert answered["operations"]["get"]["operationId"] == "admin_list_tenants_on_plan"
    assert "GET /admin/plans/{plan}/tenants" in followed.facts["read_by_admins"]
    assert "| `GET /admin/plans/{plan}/tenants` | `admin:read` |" in followed.text(f"{WRITTEN}http.md")


def test_the_new_engine_is_chosen_and_serves(followed: Followed) -> None:
    predictions = followed.facts["answered"]["predictions"]

    assert followed.facts["engine"] == "linear"
    assert [predictions[call][0] for call in (0, 2)] == [200, 200]
    assert predictions[0][1]["predictions"][0]["label"] == "high"


def test_the_new_table_comes_and_goes_with_its_migration(followed: Followed) -> None:
    before, after = followed.facts["migrations"]["before"], followed.facts["migrations"]["after"]

    assert after["plan_note"] == ["bytes_read", "noted_at", "plan", "text"]
    assert set(after) - set(before) == {"plan_note"}
    assert set(after["plan"]) - set(before["plan"]) == {"requests_per_day"}
    assert len(followed.facts["kept"]) == 1
