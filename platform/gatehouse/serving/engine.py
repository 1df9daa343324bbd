"""The one protocol behind which every kind of model runs."""

from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from gatehouse.serving.shape import ClassValue

Values: TypeAlias = npt.NDArray[Any]
"""Rows × features in contract order: float64 where all features are numbers, else object."""
Scores: TypeAlias = npt.NDArray[np.float64]
Classes: TypeAlias = tuple[ClassValue | tuple[ClassValue, ...], ...] | None
"""Of one classifier as they are; of several targets one tuple each; None for a regression of one value or several."""


class EngineUnusable(Exception):
    """The artifact cannot be run here; the message names the remedy."""


class Engine(Protocol):
    """A loaded model. `score` may be called from several threads at once and raises whatever the model raises."""

    @property
    def name(self) -> str: ...

    @property
    def classes(self) -> Classes:
        """In the order of the columns of `score`; see `classes.by_target`."""

    @property
    def own_labels(self) -> bool:
        """Whether `score` tells the labels as well: for an estimator whose own label need not be its most probable class."""

    @property
    def inline_rows(self) -> int:
        """How many rows may be scored on the event loop; 0 where none may."""

    def score(self, values: Values) -> Scores:
        """Values, shape (rows,) or (rows, targets); or probabilities, shape (rows, classes), of several targets side by side.

        With `own_labels` one more column follows the probabilities of each target: the place of its label among its classes.
        """
