"""Rows drawn from a contract's own space, the same for the same seed: corners, nulls, defaults, and what lies between."""

import random
from collections.abc import Sequence
from math import isfinite

from gatehouse.contracts.cells import Cell
from gatehouse.contracts.feature import Feature
from gatehouse.contracts.reach import ends, listed, may_be_null

WORDS = ("", "a", "two words", "Ünïcödé", "a/b", "1/2", "a-b", "x, y", "0", "-1.5")
NULL_SHARE = 0.1
EDGE_SHARE = 0.1
ROUND_SHARE = 0.3


def draw_cells(features: Sequence[Feature], count: int, seed: int) -> list[list[Cell]]:
    """Each feature's edges in an otherwise plain row, then `count` random rows."""
    source = random.Random(seed)  # noqa: S311  # rows to try, no secrets
    edges = [edges_of(feature) for feature in features]
    plain = [cells[0] for cells in edges]
    rows = [[*plain[:place], cell, *plain[place + 1 :]] for place, cells in enumerate(edges) for cell in cells]
    drawn = [_draw(feature, cells, count, source) for feature, cells in zip(features, edges, strict=True)]
    return rows + [list(row) for row in zip(*drawn, strict=True)]


def edges_of(feature: Feature) -> list[Cell]:
    """The outermost values, every category, the default, and null where it can be."""
    few = listed(feature)
    cells: list[Cell]
    if few is not None:
        cells = [few[0], few[-1]] if feature.type == "integer" else list(few)
    elif feature.type == "text":
        longest = feature.max_length or 0
        cells = ["x" * longest, *(word for word in WORDS if len(word) <= longest)]
    else:
        cells = list(ends(feature))
    if feature.default is not None:
        cells.append(feature.default)
    return [*cells, None] if may_be_null(feature) else cells


def _draw(feature: Feature, edges: Sequence[Cell], count: int, source: random.Random) -> list[Cell]:
    return [_cell(feature, edges, source) for _ in range(count)]


def _cell(feature: Feature, edges: Sequence[Cell], source: random.Random) -> Cell:
    if may_be_null(feature) and source.random() < NULL_SHARE:
        return None
    if feature.type not in ("number", "integer") or source.random() < EDGE_SHARE:
        return source.choice(edges)
    low, high = ends(feature)
    if feature.type == "integer":
        return source.randint(int(low), int(high))
    return _number(float(low), float(high), source)


def _number(low: float, high: float, source: random.Random) -> float:
    """Anywhere between the ends; of a wide range mostly at a size that people send; now and then round."""
    number = source.uniform(low, high) if high - low < 1e9 and isfinite(high - low) else _of_any_size(source)
    if source.random() < ROUND_SHARE:
        number = round(number, source.randrange(3))
    return min(max(number, low), high)


def _of_any_size(source: random.Random) -> float:
    return float(source.choice((-1, 1)) * 10 ** source.uniform(-3, 9))
