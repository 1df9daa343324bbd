"""Whether two engines answer the same: the gate before an ONNX graph takes the place of its estimator."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatehouse.serving.classes import Places, by_target, most_probable
from gatehouse.serving.engine import Classes, Engine, Scores, Values
from gatehouse.serving.manifest import Parity

TOLERANCE = 1e-5
"""Greatest absolute difference of a probability and greatest relative difference of a value."""
ROWS = 2_500
SEED = 20_261_121
_SINGLE_ROWS = 256


def twice(reference: Any) -> Any:
    """Scores or labels of a reference, in the rows of `score_both_ways`."""
    return np.concatenate([reference, reference[:_SINGLE_ROWS]])


def score_both_ways(engine: Engine, values: Values) -> Scores:
    """Scores of all rows in one call; the first ones once more on their own, since graphs take another path for a single row."""
    single = [engine.score(values[place : place + 1]) for place in range(min(_SINGLE_ROWS, len(values)))]
    return np.concatenate([engine.score(values), *single])


@dataclass(frozen=True, slots=True)
class Compared:
    """`worst`: place of the row that differs most, one with another label before all others; None where all are the same."""

    parity: Parity
    worst: int | None


def compare(
    reference: Scores, candidate: Scores, decimals: Sequence[int], seed: int, classes: Classes = None, labels: Places | None = None
) -> Compared:
    """Strict: a flipped label, a number off by more than TOLERANCE or by more than one unit of the last decimal, or one that is not
    finite, fails. `decimals` are those of each target, `labels` the reference's own ones where it classifies."""
    if candidate.shape != reference.shape:
        return Compared(_failed(len(reference), seed), None)
    finite = np.isfinite(candidate) & np.isfinite(reference)
    if not finite.all():
        return Compared(_failed(len(reference), seed), int((~_by_row(finite).all(axis=1)).argmax()))
    distance = np.abs(candidate - reference)
    flipped = np.zeros(len(reference), dtype=bool)
    if labels is not None:
        flipped = (most_probable(candidate, classes) != labels).any(axis=1)
        flips = int((most_probable(candidate, classes) != labels).sum())
    else:
        flips = 0
        # a reference of exactly 0 admits nothing but 0
        distance = np.where(distance == 0, 0.0, distance / np.maximum(np.abs(reference), np.finfo(np.float64).tiny))
    worst = float(distance.max(initial=0.0))
    units = _units(reference, candidate, _of_columns(decimals, classes))
    passed = flips == 0 and worst <= TOLERANCE and units is not None and units <= 1
    told = worst if np.isfinite(worst) else None
    parity = Parity(rows=len(reference), seed=seed, label_flips=flips, worst_difference=told, worst_units=units, passed=passed)
    return Compared(parity, _worst(distance, flipped))


def _failed(rows: int, seed: int) -> Parity:
    return Parity(rows=rows, seed=seed, label_flips=0, worst_difference=None, worst_units=None, passed=False)


def _worst(distance: Any, flipped: Any) -> int | None:
    of_rows = _by_row(distance).max(axis=1, initial=0.0)
    if flipped.any():
        of_rows = np.where(flipped, of_rows, -1.0)
    elif not of_rows.any():
        return None
    return int(of_rows.argmax())


def _by_row(table: Any) -> Any:
    return table.reshape(len(table), -1)


def _of_columns(decimals: Sequence[int], classes: Classes) -> Any:
    """The decimals of each column: one a target, or one for each class of each target."""
    return np.repeat(decimals, [len(each) for each in by_target(classes)] or 1)


def _units(reference: Scores, candidate: Scores, decimals: Any) -> int | None:
    """Distance of the rounded numbers in units of the last decimal; None where it is beyond counting."""
    scale = 10.0**decimals
    with np.errstate(over="ignore", invalid="ignore"):
        worst = float(np.abs(np.rint(candidate * scale) - np.rint(reference * scale)).max(initial=0.0))
    return int(worst) if np.isfinite(worst) and worst < 2.0**53 else None
