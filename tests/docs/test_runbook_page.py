"""docs/runbook.md has one heading for each 5xx code and each alarm, and none for anything else; what it names is there."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from documents import ROOT

import gatehouse
from gatehouse.cli import COMMANDS, load_command
from gatehouse.errors import CATALOGUE
from gatehouse.settings import Settings

ANSWERS = re.compile(r"(\d{3}) ((?:`\w+`(?:, )?)+)")
PAGE = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
PACKAGE = Path(gatehouse.__path__[0])
METRIC = re.compile(r"^\| `(gatehouse_\w+)` \| .*? \|(.*)\|$", re.MULTILINE)
CHANGING = re.compile(r"(?:%(?:\.\d+)?[sdrf])+")
LABELS = ["Means", "Callers see", "First look", "Remedy"]
LEVELS = {
    "error": {*(f"{log}.{level}" for log in ("LOG", "LOGGER") for level in ("error", "exception", "critical")), "self._note_failure"},
    "warning": {"LOG.warning", "LOGGER.warning"},
}
"""What says a line of a level; a recorder's failure is handed on as a message."""
WARNINGS = (
    "key …: … calls with a wrong secret within … s, from … networks",
    "Redis cannot be reached",
    "Redis does not answer",
    "Redis may throw limits away when its memory is full",
)
"""The beginnings of warnings that ask for somebody, although they are no errors."""
DOCTOR_PARTS = {
    "part": ("state folder", "settings.env", "gatehouse.db"),
    "AUDIT_TRAIL": ("audit trail",),
    "f'{model} {version}'": ("MODEL VERSION",),
    "endpoint.name": ("ENDPOINT",),
    **dict.fromkeys(("SECRET_KEY.name", "SECRET_KEY.before", "secret.name", "secret.before", "name"), ("GATEHOUSE_…",)),
}
"""How a finding's part is written in the code, where it is no text."""


def sections() -> dict[str, list[str]]:
    """The labels of each heading's text, by the heading."""
    found = re.findall(r"^### (.+)\n((?:(?!^#).*\n?)*)", PAGE, re.MULTILINE)
    return {heading: re.findall(r"^- \*\*(.+?)\*\*: \S", text, re.MULTILINE) for heading, text in found}


def named() -> list[str]:
    """What has a heading; one may be of several that mean the same."""
    return [name for heading in sections() for name in re.findall(r"`([^`]+)`", heading)]


def calls(file: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))


def logged(level: str) -> set[str]:
    """The lines of a level that the package may log, with … for what changes."""
    found = set()
    for file in PACKAGE.rglob("*.py"):
        for call in calls(file):
            if ast.unparse(call.func) in LEVELS[level]:
                message = call.args[0]
                if isinstance(message, ast.Constant):
                    found.add(CHANGING.sub("…", message.value))
                else:
                    assert ast.unparse(message) == "message", f"{file}: which lines are these?"
    return found


def status_alarms() -> set[str]:
    """What `gatehouse status` may say is wrong."""
    tree = ast.parse((PACKAGE / "composition" / "deployment_status.py").read_text(encoding="utf-8"))
    said = [node.value for node in ast.walk(tree) if isinstance(node, ast.Yield)]
    texts = [each.value if isinstance(each, ast.Constant) else _text(each) for each in said]
    return {text.replace("… ", "process … on … ", 1) if text.startswith("… ") else text for text in texts}


def _text(said: Any) -> str:
    return "".join(part.value if isinstance(part, ast.Constant) else "…" for part in said.values)


def doctor_alarms() -> set[str]:
    """The parts of `gatehouse doctor` that may be other than well."""
    parts: set[str] = set()
    for file in (PACKAGE / "cli").glob("*finding*.py"):
        for call in calls(file):
            if ast.unparse(call.func) == "Finding" and ast.unparse(call.args[1]) != "'ok'":
                part = call.args[0]
                parts.update([part.value] if isinstance(part, ast.Constant) else DOCTOR_PARTS[ast.unparse(part)])
    return {f"doctor: {part}" for part in parts}


def alarms() -> dict[str, set[str]]:
    metrics = METRIC.findall((ROOT / "docs" / "operations.md").read_text(encoding="utf-8"))
    return {
        "5xx": {code for code, problem in CATALOGUE.items() if problem.status >= 500},
        "metrics": {name for name, alarm in metrics if alarm.strip()},
        "log": logged("error") | set(WARNINGS),
        "status": status_alarms(),
        "doctor": doctor_alarms(),
    }


def test_each_code_and_alarm_has_one_heading_and_no_heading_is_without_one() -> None:
    expected = alarms()
    assert {kind: len(names) > 5 for kind, names in expected.items()} == dict.fromkeys(expected, True)
    every = set().union(*expected.values())
    assert every - set(named()) == set(), "give it a heading"
    assert set(named()) - every == set(), "there is no such alarm any more"
    assert [name for name, times in Counter(named()).items() if times > 1] == []


def test_each_heading_says_what_it_means_what_callers_see_where_to_look_first_and_what_to_do() -> None:
    assert {heading: labels for heading, labels in sections().items() if labels != LABELS} == {}


def test_the_warnings_that_ask_for_somebody_are_logged() -> None:
    lines = logged("warning")
    assert [warning for warning in WARNINGS if not any(line.startswith(warning) for line in lines)] == []


def test_the_runbook_begins_with_how_gatehouse_is_reached_after_going_live() -> None:
    go_live = (ROOT / "docs" / "go-live.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^gatehouse\(\) .*$", go_live, re.MULTILINE)
    assert line in PAGE[: PAGE.index("## ")]


def test_what_partners_write_is_there_by_each_code_that_predictions_are_often_refused_with() -> None:
    table = PAGE[PAGE.index("## What a partner writes") : PAGE.index("## What callers get")]
    named = {
        (int(status), code) for row in table.splitlines() for status, codes in ANSWERS.findall(row) for code in re.findall(r"\w+", codes)
    }
    assert named - {(problem.status, code) for code, problem in CATALOGUE.items()} == set()
    tried = {401, 403, 404, 410, 413, 415, 422, 429}
    others = {"beyond_own_key", "login_needed", "login_too_old", "idempotency_key_reused"}  # of people, and of one header
    assert {code for code, problem in CATALOGUE.items() if problem.status in tried} - {code for _, code in named} == others


@pytest.mark.parametrize("page", ["runbook.md", "go-live.md"])
def test_commands_settings_and_metrics_that_a_page_names_are_there(page: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    for line in re.findall(r"(?:^|`|bin/)gatehouse ([a-z][^`\n]*)", text, re.MULTILINE):
        check_command(line.split())
    settings = {f"GATEHOUSE_{field.upper()}" for field in Settings.model_fields}
    assert set(re.findall(r"GATEHOUSE_[A-Z_]+[A-Z]", text)) - settings == set()
    metrics = {name for name, _ in METRIC.findall((ROOT / "docs" / "operations.md").read_text(encoding="utf-8"))}
    assert set(re.findall(r"`(gatehouse_\w+)`", text)) - metrics == set()


def check_command(words: list[str]) -> None:
    """That it is one, and has the options that are named."""
    assert words[0] in COMMANDS, words
    command: Any = load_command(words[0])
    if hasattr(command, "commands"):
        assert len(words) == 1 or words[1] in command.commands, words
        command = command.commands[words[1]] if len(words) > 1 else command
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} - options == set(), words
