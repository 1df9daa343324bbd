"""From a validated table of values to the answer that a contract promises."""

from math import isfinite
from typing import Any

import numpy as np

from gatehouse.errors import PredictionFailed
from gatehouse.serving.engine import Engine, Scores, Values
from gatehouse.serving.shape import OutputShape

_ALL = ("label", "confidence", "probabilities")
_EXACT = 2.0**52
"""Doubles of this size and beyond have no decimals to round."""


class Predictor:
    """One engine and the outputs of its contract. The label is that of the greatest probability, the first one in a tie."""

    def __init__(self, engine: Engine, output: OutputShape) -> None:
        """Raises ValueError where the classes of engine and contract differ."""
        self.engine_name = engine.name
        self.joins = False
        """Whether rows of several callers may be scored by one call of the model; see `independence`."""
        self._engine = engine
        self._scale = 10.0**output.decimals
        self._top_k = output.top_k
        self._labels: list[str] = []
        self._places: list[tuple[str, int]] = []
        if engine.classes is not None:
            names = {label.cls: label.name for label in output.labels}
            if set(names) != set(engine.classes) or len(names) != len(output.labels):
                raise ValueError("the classes of the model are not those of the contract")
            self._labels = [names[cls] for cls in engine.classes]
            self._places = [(label.name, engine.classes.index(label.cls)) for label in output.labels]

    def fits_inline(self, rows: int) -> bool:
        """Whether so many rows may be scored on the event loop."""
        return rows <= self._engine.inline_rows

    def answer(self, values: Values, outputs: tuple[str, ...]) -> list[dict[str, Any]]:
        """One mapping a row, its members in the order of `outputs`. Raises PredictionFailed, whose reason holds no value of a row."""
        return self.told(self.score(values), outputs)

    def score(self, values: Values) -> Scores:
        """The model's own numbers, one row of them for each row of values. Raises PredictionFailed."""
        try:
            scores = self._engine.score(values)
        except (Exception, SystemExit) as error:  # a model that wants to end the process only fails its call
            raise PredictionFailed(reason=f"model_raised:{type(error).__name__}") from None
        expected = (len(values),) if not self._labels else (len(values), len(self._labels))
        if scores.shape != expected:
            raise PredictionFailed(reason="model_answered_wrong_shape")
        return scores

    def told(self, scores: Scores, outputs: tuple[str, ...]) -> list[dict[str, Any]]:
        """The outputs of rows whose scores are these. Raises PredictionFailed for a number that is not finite."""
        if not self._labels:
            return [{"value": value} for value in self._rounded(scores.reshape(-1, 1))[0]]
        return self._classified(scores, outputs)

    def _classified(self, scores: Scores, outputs: tuple[str, ...]) -> list[dict[str, Any]]:
        columns = self._rounded(scores)  # before the arg max, since it refuses NaN
        if len(scores) == 1:
            row = scores[0].tolist()
            best = [row.index(max(row))]
        else:
            best = scores.argmax(axis=1).tolist()
        made: dict[str, list[Any]] = {}
        if "label" in outputs:
            made["label"] = [self._labels[place] for place in best]
        if "confidence" in outputs:
            made["confidence"] = [columns[place][row] for row, place in enumerate(best)]
        if "probabilities" in outputs and self._top_k is not None:
            made["probabilities"] = self._most_probable(scores, columns, self._top_k)
        elif "probabilities" in outputs:
            names = [name for name, _ in self._places]
            ordered = zip(*(columns[place] for _, place in self._places), strict=True)
            made["probabilities"] = [dict(zip(names, row, strict=False)) for row in ordered]  # strict takes half as long again
        cells = zip(*(made[name] for name in outputs), strict=True)
        if outputs == _ALL:  # most callers; a literal takes less than half of the general way
            return [{"label": label, "confidence": confidence, "probabilities": each} for label, confidence, each in cells]
        return [dict(zip(outputs, row, strict=False)) for row in cells]

    def _most_probable(self, scores: Scores, columns: list[list[float]], count: int) -> list[dict[str, float]]:
        """Those of the `count` most probable labels, in the contract's order; in a tie the first class wins, as for the label."""
        kept = np.argsort(-scores, axis=1, kind="stable")[:, :count].tolist()
        return [{name: columns[place][row] for name, place in self._places if place in places} for row, places in enumerate(kept)]

    def _rounded(self, scores: Scores) -> list[list[float]]:
        """The columns of `scores`, rounded half to even on the scaled number: the same for one row and for many."""
        scale = self._scale
        if len(scores) == 1:
            row = scores[0].tolist()
            if not all(map(isfinite, row)):
                raise PredictionFailed(reason="model_answered_not_finite")
            return [[round(value * scale) / scale if abs(value) * scale < _EXACT else value] for value in row]
        if not np.isfinite(scores).all():
            raise PredictionFailed(reason="model_answered_not_finite")
        with np.errstate(over="ignore"):
            scaled = scores * scale
        # adding zero makes -0.0 a plain 0.0
        rounded = np.where(np.abs(scaled) < _EXACT, np.rint(scaled) / scale + 0.0, scores)
        columns: list[list[float]] = rounded.T.tolist()
        return columns
