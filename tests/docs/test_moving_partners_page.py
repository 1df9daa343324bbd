"""docs/moving-partners.md names every verdict of the migration report and every reason for one, and no other."""

import re
from pathlib import Path
from typing import get_args

from typer.testing import CliRunner

from gatehouse.cli import app
from gatehouse.migration.report_verdict import Code, Word

PAGE = Path(__file__).parents[2] / "docs" / "moving-partners.md"
ROW = re.compile(r"^\| `(\w+)` \| ((?:`\w+`(?:, )?)+) \|", re.MULTILINE)


def test_the_page_names_every_verdict_and_every_reason() -> None:
    section = PAGE.read_text(encoding="utf-8").partition("\n## The report")[2].partition("\n## ")[0]
    rows = ROW.findall(section)
    assert {word for word, _ in rows} == set(Word)
    assert sorted(code for _, codes in rows for code in re.findall(r"\w+", codes)) == sorted(get_args(Code))


def test_the_page_says_that_deprecate_needs_a_successor() -> None:
    said = CliRunner().invoke(app, ["endpoints", "deprecate", "iris", "v1", "--sunset", "2099-06-30"])
    assert (said.exit_code, "--successor" in said.output) == (2, True)
    assert "`deprecate` needs a `--successor`" in PAGE.read_text(encoding="utf-8")
