"""Whether a model answers each row by that row alone, so that rows of several callers may go into one call of it."""

import numpy as np

from gatehouse.errors import PredictionFailed
from gatehouse.serving.engine import Scores, Values
from gatehouse.serving.predictor import Predictor

ROWS = 8
"""Compared, and of a graph that takes little as many as may be scored at once, but no more than MOST_ROWS."""
MOST_ROWS = 64
_RELATIVE, _ABSOLUTE = 1e-6, 1e-9
"""BLAS adds up one row in another order than many; whatever looks at other rows is off by far more."""


def rows_stand_alone(predictor: Predictor, values: Values, *, exactly: bool = False) -> bool:
    """Compare rows, scored one by one, with the same rows together, in both orders; `exactly` to the last bit.

    False also where fewer than two rows can be answered at all: then nothing is known.
    """
    answered: list[tuple[Values, Scores]] = []
    for place in range(len(values)):
        row = values[place : place + 1]
        try:
            answered.append((row, predictor.score(row)))
        except PredictionFailed:
            continue
    if len(answered) < 2:
        return False
    rows, alone = (np.concatenate(parts) for parts in zip(*answered, strict=True))
    try:
        together = [(predictor.score(rows[order]), alone[order]) for order in (np.s_[:], np.s_[::-1])]
    except PredictionFailed:
        return False
    return all(np.array_equal(*pair, equal_nan=True) if exactly else _same(*pair) for pair in together)


def _same(together: Scores, alone: Scores) -> bool:
    return bool(np.allclose(together, alone, rtol=_RELATIVE, atol=_ABSOLUTE, equal_nan=True))
