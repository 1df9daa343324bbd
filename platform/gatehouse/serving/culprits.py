"""Which features make an estimator raise: single rows are tried beside the contract's example, until it is known."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gatehouse.serving.engine import Values

MOST_FEATURES = 300
"""So many single rows are scored at most, which takes seconds with a slow estimator."""


@dataclass(frozen=True, slots=True)
class Culprits:
    """`error`: what a row raises by the features at `places`; none where no single one is to blame. `nulls`: by being null."""

    error: Exception
    places: tuple[int, ...]
    nulls: bool


def find_culprits(ask: Callable[[Values], object], values: Values, example: Values, error: Exception) -> Culprits:
    """Of `values`, on which `ask` raised `error`; `example` is one row."""
    by_example = _raised(ask, example)
    if by_example is not None:
        places = tuple(place for place, cell in enumerate(example[0]) if isinstance(cell, str) and cell and repr(cell) in str(by_example))
        return Culprits(by_example, places, nulls=has_null(example[0]))
    row = _failing_row(ask, values)
    places = () if row is None else tuple(place for place in range(min(row.shape[1], MOST_FEATURES)) if _alone(ask, example, row, place))
    if row is None or not places:
        return Culprits(error, (), nulls=has_null(values))
    return Culprits(_alone(ask, example, row, places[0]) or error, places, nulls=has_null(row[0, list(places)]))


def _failing_row(ask: Callable[[Values], object], values: Values) -> Values | None:
    """The first row that raises alone; None where rows raise only together."""
    while len(values) > 1:
        half = len(values) // 2
        values = values[:half] if _raised(ask, values[:half]) else values[half:]
    return values if _raised(ask, values) else None


def _alone(ask: Callable[[Values], object], example: Values, row: Values, place: int) -> Exception | None:
    """What the example raises with one cell of another row."""
    changed = example.copy()
    changed[0, place] = row[0, place]
    return _raised(ask, changed)


def _raised(ask: Callable[[Values], object], values: Values) -> Exception | None:
    try:
        ask(values)
    except Exception as error:  # estimators raise what they like
        return error
    return None


def has_null(cells: Values) -> bool:
    """Whether any of them is None or NaN."""
    return any(cell is None or cell != cell for cell in np.ravel(cells))  # only NaN differs from itself
