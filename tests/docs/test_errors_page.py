"""docs/errors.md is what the catalogue says."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_of_error_codes_equals_the_catalogue() -> None:
    written = runpy.run_path(str(ROOT / "scripts" / "write_errors_page.py"))["page"]()

    assert (ROOT / "docs" / "errors.md").read_text(encoding="utf-8") == written, "run: python scripts/write_errors_page.py"
