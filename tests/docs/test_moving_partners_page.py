"""docs/moving-partners.md names every verdict of the migration report and every reason for one, and no other."""

import re
from pathlib import Path
from typing import get_args

from gatehouse.migration.report_verdict import Code, Word

PAGE = Path(__file__).parents[2] / "docs" / "moving-partners.md"
ROW = re.compile(r"^\| `(\w+)` \| ((?:`\w+`(?:, )?)+) \|", re.MULTILINE)


def test_the_page_names_every_verdict_and_every_reason() -> None:
    section = PAGE.read_text(encoding="utf-8").partition("\n## The report")[2].partition("\n## ")[0]
    rows = ROW.findall(section)
    assert {word for word, _ in rows} == set(Word)
    assert sorted(code for _, codes in rows for code in re.findall(r"\w+", codes)) == sorted(get_args(Code))
