"""Puts what a run has printed into docs/performance.md, between two marks that name the script."""

from pathlib import Path

from comparison.environments import ROOT

PAGE = ROOT / "docs" / "performance.md"
CHART = ROOT / "docs" / "usual_stack.svg"
FIGURES = ROOT / "docs" / "usual_stack.json"


def publish(script: str, text: str, page: Path = PAGE) -> None:
    """Raises SystemExit where the marks are not there."""
    begin, end = f"<!-- {script} begins -->\n", f"<!-- {script} ends -->\n"
    before, mark, rest = page.read_text(encoding="utf-8").partition(begin)
    _, end_mark, after = rest.partition(end)
    if not mark or not end_mark:
        raise SystemExit(f"{page} has no lines '{begin.strip()}' and '{end.strip()}' to write between")
    page.write_text(f"{before}{begin}\n{text.strip()}\n\n{end}{after}", encoding="utf-8")
