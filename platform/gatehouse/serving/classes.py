"""What the columns of scores stand for: the classes of one classifier, or those of several targets side by side."""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from gatehouse.serving.engine import Classes, Scores
from gatehouse.serving.shape import ClassValue

Places: TypeAlias = npt.NDArray[np.intp]
"""Rows × targets: where each target's label stands among its classes."""


def by_target(classes: Classes) -> tuple[tuple[ClassValue, ...], ...]:
    """One tuple of classes for each target; empty for a regression."""
    if not classes:
        return ()
    nested = tuple(each for each in classes if isinstance(each, tuple))
    return nested or (tuple(each for each in classes if not isinstance(each, tuple)),)


def from_targets(targets: tuple[tuple[ClassValue, ...], ...]) -> Classes:
    """The one spelling: flat for one target, None for none."""
    return targets[0] if len(targets) == 1 else targets or None


def columns_of(widths: Iterable[int]) -> Iterator[slice]:
    """Where each target's columns stand, when they follow each other."""
    start = 0
    for width in widths:
        yield slice(start, start + width)
        start += width


def most_probable(probabilities: Scores, classes: Classes) -> Places:
    """The label of each target: that of the greatest probability, the first one in a tie."""
    segments = columns_of(len(target) for target in by_target(classes))
    return np.stack([probabilities[:, segment].argmax(axis=1) for segment in segments], axis=1)
