"""The one protocol behind which every kind of model runs."""

from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from gatehouse.serving.shape import ClassValue

Values: TypeAlias = npt.NDArray[Any]
"""Rows × features in contract order: float64 where all features are numbers, else object."""
Scores: TypeAlias = npt.NDArray[np.float64]


class EngineUnusable(Exception):
    """The artifact cannot be run here; the message names the remedy."""


class Engine(Protocol):
    """A loaded model. `score` may be called from several threads at once and raises whatever the model raises."""

    @property
    def name(self) -> str: ...

    @property
    def classes(self) -> tuple[ClassValue, ...] | None:
        """In the order of the columns of `score`; None for a regression."""

    @property
    def inline_rows(self) -> int:
        """How many rows may be scored on the event loop; 0 where none may."""

    def score(self, values: Values) -> Scores:
        """Probabilities, shape (rows, classes), or values, shape (rows,)."""
