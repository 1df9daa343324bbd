"""Rows drawn from a contract's own space, the same for the same seed: corners, nulls, defaults, and what lies between."""

import random
from collections.abc import Sequence
from math import isfinite

from gatehouse.contracts.cells import Cell
from gatehouse.contracts.feature import Feature
from gatehouse.contracts.reach import Number, ends, listed, may_be_null

WORDS = ("", "a", "two words", "Ünïcödé", "a/b", "1/2", "a-b", "x, y", "0", "-1.5")
MOST_EDGES = 1_000
LONGEST_TEXT = 1_000
"""A contract may be wide, with thousands of categories and texts of a million characters; the exact part of a proof tries them all."""
NULL_SHARE = 0.1
EDGE_SHARE = 0.1
ROUND_SHARE = 0.3


def draw_cells(features: Sequence[Feature], count: int, seed: int) -> list[list[Cell]]:
    """Rows of nothing but edges, until each edge of each feature has come, then `count` random rows."""
    source = random.Random(seed)  # noqa: S311  # rows to try, no secrets
    edges = [edges_of(feature) for feature in features]
    needed = min(MOST_EDGES, max(map(len, edges)))
    rows = [[cells[number % len(cells)] for cells in edges] for number in range(needed)]
    drawn = [_draw(feature, cells, count, source) for feature, cells in zip(features, edges, strict=True)]
    return rows + [list(row) for row in zip(*drawn, strict=True)]


def edges_of(feature: Feature) -> list[Cell]:
    """The outermost values, every category, the default, and null where it can be."""
    few = listed(feature)
    cells: list[Cell]
    if few is not None:
        cells = [few[0], few[-1]] if feature.type == "integer" else list(few)
    elif feature.type == "text":
        longest = min(LONGEST_TEXT, feature.max_length or 0)
        cells = ["x" * longest, *(word for word in WORDS if len(word) <= longest)]
    else:
        cells = list(ends(feature))
    if feature.default is not None:
        cells.append(feature.default)
    return [*cells, None] if may_be_null(feature) else cells


def _draw(feature: Feature, edges: Sequence[Cell], count: int, source: random.Random) -> list[Cell]:
    within = ends(feature) if feature.type in ("number", "integer") else None
    nulls = NULL_SHARE if may_be_null(feature) else 0
    return [None if source.random() < nulls else _cell(edges, within, source) for _ in range(count)]


def _cell(edges: Sequence[Cell], within: tuple[Number, Number] | None, source: random.Random) -> Cell:
    if within is None or source.random() < EDGE_SHARE:
        return source.choice(edges)
    low, high = within
    if isinstance(low, int) and isinstance(high, int):
        return source.randint(low, high)
    return _number(float(low), float(high), source)


def _number(low: float, high: float, source: random.Random) -> float:
    """Anywhere between the ends; of a wide range mostly at a size that people send; now and then round."""
    number = source.uniform(low, high) if high - low < 1e9 and isfinite(high - low) else _of_any_size(source)
    if source.random() < ROUND_SHARE:
        number = round(number, source.randrange(3))
    return min(max(number, low), high)


def _of_any_size(source: random.Random) -> float:
    return float(source.choice((-1, 1)) * 10 ** source.uniform(-3, 9))
