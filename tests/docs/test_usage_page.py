"""docs/usage.md shows the table that the meter goes by."""

from pathlib import Path

from gatehouse.usage.outcomes import outcome_table


def test_the_page_shows_the_meters_own_table() -> None:
    assert outcome_table() in (Path(__file__).parents[2] / "docs" / "usage.md").read_text(encoding="utf-8")
