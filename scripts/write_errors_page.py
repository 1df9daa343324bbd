"""Writes docs/errors.md from the error catalogue; a test says when it has to be run."""

from pathlib import Path

from gatehouse.errors import CATALOGUE

PAGE = Path(__file__).resolve().parent.parent / "docs" / "errors.md"
HEAD = """# Error codes

Every error is a problem document (RFC 9457, `application/problem+json`): `type`, `title`, `status`, `detail`, `code`, `request_id`.
Programs decide by `code`, which does not change. `type` is a page of the server that says the same as this table.
`POST /oauth/token` alone answers in the words of RFC 6749 (`error`, `error_description`).

This table is written from the catalogue by `python scripts/write_errors_page.py`.

| status | code | means | what to do |
| --- | --- | --- | --- |
"""


def page() -> str:
    """The whole text of docs/errors.md."""
    problems = sorted(CATALOGUE.values(), key=lambda problem: problem.status)
    lines = [f"| {one.status} | `{one.code}` | {_cell(one.title)} | {_cell(one.meaning)} |\n" for one in problems]
    return HEAD + "".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
