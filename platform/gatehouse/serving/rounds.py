"""Small calls on the event loop: those that are ready in one of its turns are scored by one call of the model."""

import asyncio
from collections.abc import Sequence

import numpy as np

from gatehouse.errors import PredictionFailed
from gatehouse.serving.engine import Scores, Values
from gatehouse.serving.predictor import Predictor

Waiting = tuple[Values, "asyncio.Future[Scores]"]


class Rounds:
    """Used on the event loop; nobody waits for company. Each round holds the loop as long as one call at most would (`inline_rows`)."""

    def __init__(self) -> None:
        self._waiting: dict[Predictor, list[Waiting]] = {}
        self.batches = self.calls = self.rows = 0
        """What was begun since the start."""

    def score(self, predictor: Predictor, values: Values) -> "asyncio.Future[Scores]":
        """The scores of these rows, at most `inline_rows` of a predictor that `joins`. Its exception is PredictionFailed."""
        loop = asyncio.get_running_loop()
        scores: asyncio.Future[Scores] = loop.create_future()
        waiting = self._waiting.get(predictor)
        if waiting is None:
            waiting = self._waiting[predictor] = []
            loop.call_soon(self._score, predictor)  # behind all that is ready by now
        waiting.append((values, scores))
        return scores

    def _score(self, predictor: Predictor) -> None:
        waiting, rows = self._waiting.pop(predictor), 0
        for place, (values, _) in enumerate(waiting):
            rows += len(values)
            if place and rows > predictor.engine.inline_rows:  # the others get a turn before the next round
                self._waiting[predictor] = waiting[place:]
                asyncio.get_running_loop().call_soon(self._score, predictor)
                waiting = waiting[:place]
                break
        waiting = [each for each in waiting if not each[1].done()]  # some callers may have gone
        self.batches += bool(waiting)
        self.calls += len(waiting)
        self.rows += sum(len(values) for values, _ in waiting)
        _settle(predictor, waiting)


def _settle(predictor: Predictor, calls: Sequence[Waiting]) -> None:
    if len(calls) > 1:
        try:
            scores = predictor.score(np.concatenate([values for values, _ in calls]))
        except Exception:  # noqa: S110 - one of them is to blame, or there is no memory for all: only a call on its own shows which
            pass
        else:
            at = 0
            for values, future in calls:
                future.set_result(scores[at : at + len(values)])
                at += len(values)
            return
    for values, future in calls:
        try:
            future.set_result(predictor.score(values))
        except PredictionFailed as error:
            future.set_exception(error)
        except Exception as error:  # nobody is left waiting, whatever it is
            future.set_exception(PredictionFailed(reason=f"round_failed:{type(error).__name__}"))
