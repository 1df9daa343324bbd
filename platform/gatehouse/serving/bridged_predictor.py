"""A model whose answers are led back to an older contract. The engine is the model's own: nothing is loaded twice."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from gatehouse.serving.engine import Scores
from gatehouse.serving.predictor import Predictor
from gatehouse.serving.shape import OutputShape


class WayBack(Protocol):
    """From the newer contract's answers to the older one's."""

    @property
    def output(self) -> OutputShape:
        """What the newer model is asked for: its contract's own, unrounded and with all probabilities."""

    def told(self, answers: Sequence[Mapping[str, Any]], outputs: Sequence[str]) -> list[dict[str, Any]]:
        """One mapping a row, its members the older contract's `outputs`. Raises PredictionFailed where a number is not finite."""


class BridgedPredictor(Predictor):
    """Takes values of the newer contract, and tells outputs of the older one."""

    def __init__(self, newer: Predictor, way: WayBack) -> None:
        """Raises ValueError where the classes or the targets of engine and contract differ."""
        super().__init__(newer.engine, way.output)
        self.joins = newer.joins
        self._way = way
        self._asked = tuple(way.output.returns)

    def told(self, scores: Scores, outputs: tuple[str, ...]) -> list[dict[str, Any]]:
        """The older contract's outputs of rows whose scores are these. Raises PredictionFailed for a number that is not finite."""
        return self._way.told(super().told(scores, self._asked), outputs)

    def texts(self, scores: Scores, outputs: tuple[str, ...]) -> list[bytes]:
        """The same, each row as JSON."""
        return list(map(msgspec.json.encode, self.told(scores, outputs)))
