"""The type of a column, read off a sample's cells. Nothing of the cells is kept but the names of categories."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gatehouse.contracts.feature import EXACT_INTEGER_MAX, MAX_CATEGORY_LENGTH, FeatureType, plain

WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,15})")
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
"""As in JSON (RFC 8259), so that a text such as 007 or 1_000 never becomes a number."""
BOOLEANS = frozenset({"true", "false", "True", "False"})
MISSING_WORDS = frozenset({"nan", "na", "n/a", "null", "none", "inf", "-inf"})
MOST_CATEGORIES = 50
"""More different texts than this are taken for free text."""


@dataclass(frozen=True, slots=True)
class Column:
    """A field of a contract to be. `seen`: cells that its example must not repeat."""

    name: str
    type: FeatureType
    nullable: bool = False
    allowed: tuple[str, ...] | None = None
    seen: frozenset[str] = frozenset()
    guessed: bool = False


class ColumnUnclear(ValueError):
    """A column that says something by words that no type has; the message is one line with the remedy."""


def unseen_column(name: str, *, text: bool = False) -> Column:
    """Without a sample: a number, unless the estimator is known to take texts."""
    return Column(name, "text" if text else "number", guessed=not text)


def infer_column(name: str, cells: Sequence[str], *, text: bool = False, known: frozenset[str] = frozenset()) -> Column:
    """`text`: the estimator is known to take texts; `known`: texts that it was fitted on as categories. Raises ColumnUnclear."""
    present = [cell for cell in cells if cell]
    seen = frozenset(present)
    nullable = len(present) < len(cells)
    if not present:
        raise ColumnUnclear(f"column '{name}' is empty in every row; give rows that show what it holds")
    if text:
        return Column(name, "text", nullable, seen=seen)
    if seen <= known:  # also 1, 2, 3 or true and false, which are texts to this estimator
        return Column(name, "category", nullable, allowed=tuple(sorted(seen)))
    kind = _kind(seen)
    if kind is not None:
        return Column(name, kind, nullable, seen=seen)
    rest = frozenset(cell for cell in seen if cell.lower() not in MISSING_WORDS)
    if rest and len(rest) < len(seen) and _kind(rest) is not None:
        words = ", ".join(sorted(seen - rest))
        raise ColumnUnclear(f"column '{name}' holds numbers or true/false, and {words}; leave the cell empty where nothing is known")
    if _are_categories(seen, len(present)):
        return Column(name, "category", nullable, allowed=tuple(sorted(seen)))
    return Column(name, "text", nullable, seen=seen)


def _kind(cells: frozenset[str]) -> FeatureType | None:
    if cells <= BOOLEANS:
        return "boolean"
    if all(WHOLE.fullmatch(cell) and abs(int(cell)) <= EXACT_INTEGER_MAX for cell in cells):
        return "integer"
    return "number" if all(NUMBER.fullmatch(cell) for cell in cells) else None


def _are_categories(cells: frozenset[str], rows: int) -> bool:
    """Few different texts, most of them more than once."""
    return len(cells) <= min(MOST_CATEGORIES, max(2, rows // 2)) and all(len(cell) <= MAX_CATEGORY_LENGTH and plain(cell) for cell in cells)
