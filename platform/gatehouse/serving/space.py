"""Rows drawn from a contract's own space: what a caller may send, never what a model was trained on."""

from collections.abc import Mapping, Sequence
from math import ceil, floor, inf, isfinite, nan, nextafter
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from gatehouse.serving.engine import Values
from gatehouse.serving.known_cells import NOTHING_KNOWN, KnownCells
from gatehouse.serving.shape import NUMERIC_TYPES, Cell, FeatureShape

Range: TypeAlias = tuple[float, float]
Ranges: TypeAlias = Mapping[str, Range]
NO_RANGES: Ranges = MappingProxyType({})
_NULL_SHARE = 0.05
_DEFAULT_SHARE = 0.05
_WORDS = ("", "a", "two words", "Ünïcödé", "0", "-1", "x" * 60)


def is_numeric(features: Sequence[FeatureShape]) -> bool:
    """Whether rows become a table of doubles."""
    return all(feature.type in NUMERIC_TYPES for feature in features)


def to_values(features: Sequence[FeatureShape], rows: Sequence[Sequence[Cell]]) -> Values:
    """Rows × features: float64 with NaN for null where all features are numbers, else object."""
    if is_numeric(features):
        return np.array([[nan if cell is None else float(cell) for cell in row] for row in rows], dtype=np.float64)
    table = np.empty((len(rows), len(features)), dtype=object)
    for place, row in enumerate(rows):
        table[place, :] = row
    return table


def example_row(features: Sequence[FeatureShape]) -> tuple[Cell, ...]:
    """The contract's examples; where one is missing, its default or something else that it allows."""
    return tuple(_example(feature) for feature in features)


def longest_row(features: Sequence[FeatureShape]) -> tuple[Cell, ...]:
    """The examples, texts as long as the contract allows: a row that takes a model as long as any."""
    return tuple(_longest(feature, cell) for feature, cell in zip(features, example_row(features), strict=True))


def _longest(feature: FeatureShape, cell: Cell) -> Cell:
    if not isinstance(cell, str) or feature.allowed or feature.max_length is None:
        return cell
    return (f"{cell or 'a'} " * feature.max_length)[: feature.max_length]


def draw_rows(
    features: Sequence[FeatureShape], count: int, seed: int, ranges: Ranges = NO_RANGES, known: KnownCells = NOTHING_KNOWN
) -> list[tuple[Cell, ...]]:
    """`count` random rows, some with round numbers and some near the examples, then every boundary of every feature.

    `ranges`: a sample's lowest and highest number of features; where a bound is open, that range widened by half is drawn from.
    `known`: what the estimator knows by heart, which stands in some of the rows.
    """
    random = np.random.default_rng(seed)
    columns = [_draw(feature, count, random, ranges.get(feature.name), known) for feature in features]
    rows: list[tuple[Cell, ...]] = list(zip(*columns, strict=True))
    example = example_row(features)
    rows.append(example)
    edges = [_edges(feature) for feature in features]
    for place, cells in enumerate(edges):
        rows.extend((*example[:place], cell, *example[place + 1 :]) for cell in cells)
    rows.append(tuple(cells[0] if cells else cell for cells, cell in zip(edges, example, strict=True)))
    rows.append(tuple(cells[-1] if cells else cell for cells, cell in zip(edges, example, strict=True)))
    return rows


def widened(feature: FeatureShape, ranges: Ranges, known: KnownCells = NOTHING_KNOWN) -> bool:
    """Whether cells of this feature come from the sample's range, or from what the estimator knows, so that none may be written down."""
    sampled = feature.name in ranges and feature.type in ("number", "integer") and not all(map(isfinite, _bounds(feature)))
    return sampled or known.tried_for(feature)


def _bounds(feature: FeatureShape) -> tuple[float, float]:
    """Lowest and highest number that is allowed, infinite where open."""
    low = -inf if feature.minimum is None else float(feature.minimum)
    high = inf if feature.maximum is None else float(feature.maximum)
    if feature.exclusive_minimum is not None:
        low = max(low, nextafter(float(feature.exclusive_minimum), inf))
    if feature.exclusive_maximum is not None:
        high = min(high, nextafter(float(feature.exclusive_maximum), -inf))
    if feature.type == "integer":
        return (float(ceil(low)) if isfinite(low) else low, float(floor(high)) if isfinite(high) else high)
    return low, high


def _example(feature: FeatureShape) -> Cell:
    for cell in (feature.example, feature.default):
        if cell is not None:
            return cell
    if feature.allowed:
        return feature.allowed[0]
    if feature.type == "boolean":
        return False
    if feature.type not in NUMERIC_TYPES:
        return "a"
    low, high = _bounds(feature)
    if isfinite(low) and isfinite(high):
        middle = low + (high - low) / 2
        return floor(middle) if feature.type == "integer" else middle
    return min(max(0.0, low), high)


def _edges(feature: FeatureShape) -> list[Cell]:
    """Lowest first, highest last, null in between."""
    cells: list[Cell] = [None] if feature.nullable else []
    if feature.default is not None:
        cells.append(feature.default)
    if feature.allowed:
        return [feature.allowed[0], *cells, *feature.allowed[1:]]
    if feature.type == "boolean":
        return [False, *cells, True]
    if feature.type not in NUMERIC_TYPES:
        return [*cells, *_WORDS]
    low, high = _bounds(feature)
    return [*([low] if isfinite(low) else []), *cells, *([high] if isfinite(high) else [])]


def _draw(feature: FeatureShape, count: int, random: np.random.Generator, sampled: Range | None, known: KnownCells) -> list[Cell]:
    cells = _draw_present(feature, count, random, sampled)
    known.mixed_into(cells, feature, *_bounds(feature), random)
    for wanted, share, cell in ((feature.nullable, _NULL_SHARE, None), (feature.default is not None, _DEFAULT_SHARE, feature.default)):
        if wanted:
            for place in np.flatnonzero(random.random(count) < share):
                cells[place] = cell
    return cells


def _draw_present(feature: FeatureShape, count: int, random: np.random.Generator, sampled: Range | None) -> list[Cell]:
    choices: Sequence[Cell] | None = feature.allowed
    if not choices and feature.type == "boolean":
        choices = (False, True)
    if not choices and feature.type not in NUMERIC_TYPES:
        choices = _WORDS
    if choices:
        return [choices[place] for place in random.integers(0, len(choices), count)]
    low, high = _bounds(feature)
    numbers = _spread(*_tried(low, high, sampled), count, random)
    example = _example(feature)
    if isinstance(example, int | float):
        # callers send what looks like the example: every third number lies near it
        near = np.arange(count) % 3 == 2
        numbers[near] = example + random.normal(0.0, 0.5 * abs(example) or 1.0, count)[near]
    # people write round numbers, and round numbers are where trees split
    for digits in range(4):
        few = random.random(count) < 0.15
        numbers[few] = np.round(numbers[few], digits)
    if feature.type == "integer":
        numbers = np.round(numbers)
    drawn: list[Any] = np.clip(numbers, low, high).tolist()
    return drawn


def _tried(low: float, high: float, sampled: Range | None) -> Range:
    """An open bound is tried as far as the sample's range widened by half, at the least beyond the other bound."""
    if sampled is None:
        return low, high
    width = sampled[1] - sampled[0] or abs(sampled[0]) or 1.0
    lowest = low if isfinite(low) else min(sampled[0] - width / 2, high - width)
    highest = high if isfinite(high) else max(sampled[1] + width / 2, lowest + width)
    return lowest, highest


def _spread(low: float, high: float, count: int, random: np.random.Generator) -> Any:
    """Uniform between two bounds; where one is open, distances of 10^-3 to 10^6 from the other or from zero."""
    if isfinite(low) and isfinite(high):
        return low + (high - low) * random.random(count)
    distance = 10.0 ** random.uniform(-3, 6, count)
    if isfinite(low):
        return low + distance
    if isfinite(high):
        return high - distance
    return distance * random.choice((-1.0, 1.0), count)
