"""Tables on terminals of every width: nothing is cut off, and words stay whole."""

import re
import sys
from pathlib import Path

import pytest

from gatehouse.cli.output import print_parts, print_table, say_next

COLUMNS = ("process", "serves since", "state", "seen", "changes behind", "usage waiting", "usage lost")
ROW = ("prc_b2db5957c80a296891b6", "2026-11-21 16:05 UTC", "serving", "12 s ago", "1,234 (5 s)", "0.5 MiB", "987,654")


@pytest.mark.parametrize("width", [20, 60, 80, 88, 92, 96, 100, 104, 120, 200])
def test_a_table_shows_every_word_of_every_column_on_a_terminal_of_any_width(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"COLUMNS": str(width), "FORCE_COLOR": "1", "NO_COLOR": "1", "TERM": "dumb"}.items():
        monkeypatch.setenv(name, value)
    print_table(COLUMNS, [ROW, ROW])
    shown = re.sub(r"\x1b\[\d+m", "", capsys.readouterr().out)
    words = shown.split()
    for word in " ".join(COLUMNS).split():
        assert word in words
    for word in " ".join(ROW).split():
        assert words.count(word) >= 2
    assert max(map(len, shown.splitlines())) <= max(width, 86)


def test_a_table_in_a_pipe_is_not_folded(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, [ROW])
    assert "   ".join(ROW[:2]) in capsys.readouterr().out


def test_a_table_in_a_pipe_has_no_blank_lines_and_no_blanks_at_the_ends_of_lines(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("id", "state"), [("1", "well"), ("2", "")])
    lines = capsys.readouterr().out.split("\n")
    assert len(lines) == 5
    assert lines.pop() == ""
    assert all(line and line == line.rstrip() for line in lines)


@pytest.mark.parametrize(("remedy", "below"), [("x" * 40, False), ("x" * 110, True)])
def test_what_to_do_stands_below_its_part_where_a_line_in_a_pipe_would_be_too_long(
    remedy: str, below: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    print_parts(("part", "what"), [("disk", "is full"), ("port", "is free")], [remedy, None])
    lines = capsys.readouterr().out.splitlines()
    assert (f"    to do: {remedy}" in lines) is below
    assert max(map(len, lines)) <= 121
    assert [line.split()[0] for line in lines if "is " in line] == ["disk", "port"]


def test_a_table_without_rows_has_its_head(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("id", "state"), [])
    assert capsys.readouterr().out.split()[:2] == ["id", "state"]


@pytest.mark.parametrize(
    ("called", "found", "typed"),
    [
        (".venv/bin/gatehouse", "", ".venv/bin/gatehouse"),
        (".venv/bin/gatehouse", ".venv/bin", "gatehouse"),
        ("a b/gatehouse", ".venv/bin", "'a b/gatehouse'"),
        (".venv/bin/pytest", "", "gatehouse"),
        ("gone/gatehouse", "", "gatehouse"),
    ],
)
def test_what_comes_next_can_be_pasted_where_the_program_was_called(
    called: str, found: str, typed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for program in (".venv/bin/gatehouse", "a b/gatehouse", ".venv/bin/pytest"):
        (tmp_path / program).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / program).touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [called, "plans", "create"])
    monkeypatch.setenv("PATH", str(tmp_path / found) if found else "")
    say_next("gatehouse doctor, then gatehouse serve")
    say_next("put it into /etc/gatehouse and of gatehouse.db", "later")
    assert capsys.readouterr().out == f"next: {typed} doctor, then {typed} serve\nlater: put it into /etc/gatehouse and of gatehouse.db\n"
