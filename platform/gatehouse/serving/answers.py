"""From the scores of one target to what its contract returns: a value, or label, confidence and probabilities."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from math import isfinite
from typing import Any, Protocol

import msgspec
import numpy as np

from gatehouse.errors import PredictionFailed
from gatehouse.serving.engine import Scores
from gatehouse.serving.shape import ClassValue, OutputShape

_ALL = ("label", "confidence", "probabilities")
_ENCODER = msgspec.json.Encoder()
_EXACT = 2.0**52
"""Doubles of this size and beyond have no decimals to round."""


class Answers(Protocol):
    """What is told of one target. `width` is how many columns of scores are its own."""

    width: int

    def told(self, scores: Scores, outputs: tuple[str, ...]) -> list[dict[str, Any]]:
        """One mapping a row, its members in the order of `outputs`. Raises PredictionFailed for a number that is not finite."""

    def texts(self, scores: Scores, outputs: tuple[str, ...]) -> list[bytes]:
        """The same mappings, each as JSON."""


class ValueAnswers:
    """A regression."""

    width = 1

    def __init__(self, output: OutputShape) -> None:
        self._scale = 10.0**output.decimals

    def told(self, scores: Scores, outputs: tuple[str, ...]) -> list[dict[str, Any]]:
        return [{"value": value} for value in _rounded(scores.reshape(-1, 1), self._scale)[0]]

    def texts(self, scores: Scores, outputs: tuple[str, ...]) -> list[bytes]:
        return list(map(_VALUE.__mod__, _number_texts(_rounded(scores.reshape(-1, 1), self._scale)[0])))


class LabelAnswers:
    """A classification. The label is the engine's own where it tells one, else that of the greatest probability, the first in a tie."""

    def __init__(self, output: OutputShape, classes: tuple[ClassValue, ...], *, own_labels: bool) -> None:
        """Raises ValueError where the classes of engine and contract differ."""
        names = {label.cls: label.name for label in output.labels}
        if set(names) != set(classes) or len(names) != len(output.labels):
            raise ValueError("the classes of the model are not those of the contract")
        self.width = len(classes) + own_labels
        self._own_labels = own_labels
        self._scale = 10.0**output.decimals
        self._top_k = output.top_k
        self._all_of_one = output.top_k is None and not own_labels
        self._labels = [names[cls] for cls in classes]
        self._label_texts = list(map(_ENCODER.encode, self._labels))
        self._places = [(label.name, classes.index(label.cls)) for label in output.labels]
        probabilities = form_of([name for name, _ in self._places])
        self._forms = {"label": b"%b", "confidence": b"%b", "probabilities": probabilities}
        self._row_forms: dict[tuple[str, ...], bytes] = {}
        """By the outputs asked for, of which a contract has few choices."""

    def told(self, scores: Scores, outputs: tuple[str, ...]) -> list[dict[str, Any]]:
        if len(scores) == 1 and self._all_of_one and outputs == _ALL:
            return [self._one(scores[0].tolist())]
        columns = _rounded(scores, self._scale)  # before the arg max, since it refuses NaN
        best, scores = self._best(scores)
        made: dict[str, list[Any]] = {}
        if "label" in outputs:
            made["label"] = list(map(self._labels.__getitem__, best))
        if "confidence" in outputs:
            made["confidence"] = [columns[place][row] for row, place in enumerate(best)]
        if "probabilities" in outputs and self._top_k is not None:
            made["probabilities"] = self._most_probable(scores, columns, self._top_k)
        elif "probabilities" in outputs:
            ordered = zip(*(columns[place] for _, place in self._places), strict=True)
            made["probabilities"] = list(map(dict, map(zip, repeat([name for name, _ in self._places]), ordered)))
        return _records(made, outputs)

    def texts(self, scores: Scores, outputs: tuple[str, ...]) -> list[bytes]:
        if len(scores) == 1 or (self._top_k is not None and "probabilities" in outputs):
            return list(map(_ENCODER.encode, self.told(scores, outputs)))
        columns = list(map(_number_texts, _rounded(scores, self._scale)))
        best, _ = self._best(scores)
        cells: list[Iterable[bytes]] = []
        for output in outputs:
            if output == "label":
                cells.append(map(self._label_texts.__getitem__, best))
            elif output == "confidence":
                cells.append([columns[place][row] for row, place in enumerate(best)])
            else:
                cells += [columns[place] for _, place in self._places]
        if outputs not in self._row_forms:
            self._row_forms[outputs] = form_of(outputs, self._forms)
        return list(map(self._row_forms[outputs].__mod__, zip(*cells, strict=False)))  # strict takes half as long again

    def _one(self, row: list[float]) -> dict[str, Any]:
        """Everything of a single row, which is what most callers ask for."""
        shown = _rounded_row(row, self._scale)
        best = row.index(max(row))
        probabilities = {name: shown[place] for name, place in self._places}
        return {"label": self._labels[best], "confidence": shown[best], "probabilities": probabilities}

    def _best(self, scores: Scores) -> tuple[list[int], Scores]:
        """The class of each row, by its place, and the scores without the engine's own labels."""
        if self._own_labels:
            return scores[:, -1].astype(int).tolist(), scores[:, :-1]
        if len(scores) == 1:
            row = scores[0].tolist()
            return [row.index(max(row))], scores
        return scores.argmax(axis=1).tolist(), scores

    def _most_probable(self, scores: Scores, columns: list[list[float]], count: int) -> list[dict[str, float]]:
        """Those of the `count` most probable labels, in the contract's order; in a tie the first class wins, as for the label."""
        kept = np.argsort(-scores, axis=1, kind="stable")[:, :count].tolist()
        return [{name: columns[place][row] for name, place in self._places if place in places} for row, places in enumerate(kept)]


def answers_of(output: OutputShape, classes: tuple[ClassValue, ...] | None, *, own_labels: bool) -> Answers:
    """For one target, whose `classes` are None for a regression. Raises ValueError where engine and contract differ."""
    if classes is not None:
        return LabelAnswers(output, classes, own_labels=own_labels)
    if output.labels:
        raise ValueError("the classes of the model are not those of the contract")
    return ValueAnswers(output)


def form_of(members: Sequence[str], forms: Mapping[str, bytes] | None = None) -> bytes:
    """A JSON object with these members, as a format of bytes: a place for each value, or of a member in `forms` for what that has."""
    inner = [b"%b:%b" % (_ENCODER.encode(name).replace(b"%", b"%%"), forms[name] if forms else b"%b") for name in members]
    return b"{%b}" % b",".join(inner)


def _records(made: dict[str, list[Any]], outputs: tuple[str, ...]) -> list[dict[str, Any]]:
    cells = zip(*(made[name] for name in outputs), strict=True)
    if outputs == _ALL:  # most callers; a literal takes less than half of the general way
        return [{"label": label, "confidence": confidence, "probabilities": each} for label, confidence, each in cells]
    return [dict(zip(outputs, row, strict=False)) for row in cells]


def _rounded_row(row: list[float], scale: float) -> list[float]:
    if not all(map(isfinite, row)):
        raise PredictionFailed(reason="model_answered_not_finite")
    return [round(value * scale) / scale if abs(value) * scale < _EXACT else value for value in row]


def _rounded(scores: Scores, scale: float) -> list[list[float]]:
    """The columns of `scores`, rounded half to even on the scaled number: the same for one row and for many."""
    if len(scores) == 1:
        return [[value] for value in _rounded_row(scores[0].tolist(), scale)]
    if not np.isfinite(scores).all():
        raise PredictionFailed(reason="model_answered_not_finite")
    with np.errstate(over="ignore"):
        scaled = scores * scale
    # adding zero makes -0.0 a plain 0.0
    rounded = np.where(np.abs(scaled) < _EXACT, np.rint(scaled) / scale + 0.0, scores)
    columns: list[list[float]] = rounded.T.tolist()
    return columns


def _number_texts(numbers: list[float]) -> list[bytes]:
    """Each number as JSON: they are written at once, and taken apart."""
    return _ENCODER.encode(numbers)[1:-1].split(b",")


_VALUE = form_of(["value"])
