"""Who may call what, as docs/security.md writes it down: one row for each route, one column for each kind of caller."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gatehouse.principal import Scope

PAGE = Path(__file__).resolve().parents[2] / "docs" / "security.md"
HEADING = "## Who may call what"
CELLS = frozenset({"yes", "own", "401", "403", "404", "log in", "people"})
ANSWERED = frozenset({"yes", "own"})
_ROUTE = re.compile(r"`(GET|POST|PUT|PATCH|DELETE) (/\S*)`")


@dataclass(frozen=True, slots=True)
class Access:
    """One route, the scope that it needs, and what each caller gets."""

    method: str
    path: str
    """As the route tree has it, with its parameters in braces."""
    scope: Scope | None
    cells: Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def access_table() -> list[Access]:
    """All rows of the page. A row of another shape, an unknown word or a doubled route is a ValueError."""
    found = list(_rows(PAGE.read_text(encoding="utf-8").partition(HEADING)[2].partition("\n## ")[0]))
    if len({str(access) for access in found}) < len(found):
        raise ValueError("a route stands twice in docs/security.md")
    return found


def _rows(section: str) -> Iterator[Access]:
    callers: list[str] = []
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if cells[:2] == ["route", "scope"]:
            callers = cells[2:]
        elif not cells:
            callers = []
        elif callers and not cells[0].startswith("---"):
            yield _access(cells, callers)


def _access(cells: list[str], callers: list[str]) -> Access:
    route = _ROUTE.fullmatch(cells[0])
    if route is None or len(cells) != len(callers) + 2 or not CELLS.issuperset(cells[2:]):
        raise ValueError(f"docs/security.md has a row that is none: {cells}")
    scope = Scope(cells[1].strip("`")) if cells[1] else None
    return Access(route[1], route[2], scope, dict(zip(callers, cells[2:], strict=True)))
