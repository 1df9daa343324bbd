"""From a validated table of values to the answer that a contract promises."""

from typing import Any, TypeAlias

import numpy as np

from gatehouse.errors import PredictionFailed
from gatehouse.serving.answers import Answers, answers_of, form_of
from gatehouse.serving.classes import by_target, columns_of
from gatehouse.serving.engine import Engine, Scores, Values
from gatehouse.serving.shape import OutputShape

Told: TypeAlias = list[dict[str, Any]]
"""What a contract promises of some rows: one mapping a row, its members in the order of the outputs asked for."""


class Predictor:
    """One engine and the outputs of its contract. Each of several targets is answered under its name as a single output would be."""

    def __init__(self, engine: Engine, output: OutputShape) -> None:
        """Raises ValueError where the classes or the targets of engine and contract differ."""
        self.engine = engine
        self.engine_name = engine.name
        self.joins = False
        """Whether rows of several callers may be scored by one call of the model; see `independence`."""
        targets = output.targets if output.task == "multioutput" else ()
        found = _answers(engine, [target.output for target in targets] or [output])
        segments = columns_of(answers.width for answers in found)
        self._answers = found[0]
        self._targets = {
            target.name: (segment, answers, tuple(target.output.returns))
            for target, segment, answers in zip(targets, segments, found, strict=bool(targets))
        }
        one_value = engine.classes is None and not targets
        self._row_shape = () if one_value else (sum(answers.width for answers in found),)

    def fits_inline(self, rows: int) -> bool:
        """Whether so many rows may be scored on the event loop."""
        return rows <= self.engine.inline_rows

    def answer(self, values: Values, outputs: tuple[str, ...]) -> Told:
        """The outputs of these rows. Raises PredictionFailed, whose reason holds no value of a row."""
        return self.told(self.score(values), outputs)

    def score(self, values: Values) -> Scores:
        """The model's own numbers, one row of them for each row of values. Raises PredictionFailed."""
        try:
            scores = self.engine.score(values)
        except (Exception, SystemExit) as error:  # a model that wants to end the process only fails its call
            raise PredictionFailed(reason=f"model_raised:{type(error).__name__}") from None
        if scores.shape != (len(values), *self._row_shape):
            raise PredictionFailed(reason="model_answered_wrong_shape")
        return scores

    def told(self, scores: Scores, outputs: tuple[str, ...]) -> Told:
        """The outputs of rows whose scores are these; `outputs` of several targets are their names.

        Raises PredictionFailed for a number that is not finite, also of a target that was not asked for.
        """
        if not self._targets:
            return self._answers.told(scores, outputs)
        if not np.isfinite(scores).all():
            raise PredictionFailed(reason="model_answered_not_finite")
        asked = [self._targets[name] for name in outputs]
        columns = [answers.told(scores[:, segment], returns) for segment, answers, returns in asked]
        return [dict(zip(outputs, row, strict=False)) for row in zip(*columns, strict=True)]

    def texts(self, scores: Scores, outputs: tuple[str, ...]) -> list[bytes]:
        """What is told of each row, as JSON. Raises PredictionFailed as `told` does."""
        if not self._targets:
            return self._answers.texts(scores, outputs)
        if not np.isfinite(scores).all():
            raise PredictionFailed(reason="model_answered_not_finite")
        asked = [self._targets[name] for name in outputs]
        columns = [answers.texts(scores[:, segment], returns) for segment, answers, returns in asked]
        return list(map(form_of(outputs).__mod__, zip(*columns, strict=True)))


def _answers(engine: Engine, outputs: list[OutputShape]) -> list[Answers]:
    """One for each output. Raises ValueError."""
    classes = by_target(engine.classes) or (None,) * len(outputs)
    if len(classes) != len(outputs):
        raise ValueError(f"the model has {len(classes)} targets, the contract {len(outputs)}")
    return [answers_of(output, each, own_labels=engine.own_labels) for output, each in zip(outputs, classes, strict=True)]
