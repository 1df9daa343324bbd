"""Small calls on the event loop: those that are ready in one of its turns are scored, and their answers told, all at once."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import accumulate
from operator import methodcaller
from typing import Any, TypeAlias

import numpy as np

from gatehouse.errors import PredictionFailed
from gatehouse.serving.engine import Scores, Values
from gatehouse.serving.predictor import Predictor

Outputs = tuple[str, ...]
Then: TypeAlias = Callable[[list[bytes], "asyncio.Future[Any]"], None]
"""Given what is told of a call, and the future that it has to settle now or later. What it raises goes there too."""
Waiting = tuple[Values, Outputs | None, "asyncio.Future[Any]", Then | None]
"""The rows of a call, the outputs that are told of them (None: it wants the scores), where these go, and what is done first."""
_done = methodcaller("done")


class Rounds:
    """Used on the event loop; nobody waits for company. Each round holds the loop as long as one call at most would (`inline_rows`)."""

    def __init__(self) -> None:
        self._waiting: dict[Predictor, list[Waiting]] = {}
        self.batches = self.calls = self.rows = 0
        """What was begun since the start."""

    def score(self, predictor: Predictor, values: Values) -> "asyncio.Future[Scores]":
        """The scores of these rows, at most `inline_rows` of a predictor that `joins`. Its exception is PredictionFailed."""
        return self.answer(predictor, values, None)

    def answer(self, predictor: Predictor, values: Values, outputs: Outputs | None, then: Then | None = None) -> "asyncio.Future[Any]":
        """The same, and of the scores what `Predictor.texts` makes of them, unless `outputs` are None.

        With `then` whatever that makes of the texts: what has still to be waited for does not wake the caller twice.
        """
        loop = asyncio.get_running_loop()
        waiting = self._waiting.get(predictor)
        if waiting is None:
            waiting = self._waiting[predictor] = []
            loop.call_soon(self._score, predictor)  # behind all that is ready by now
        found: asyncio.Future[Any] = loop.create_future()
        waiting.append((values, outputs, found, then))
        return found

    def _score(self, predictor: Predictor) -> None:
        waiting, most = self._waiting.pop(predictor), predictor.engine.inline_rows
        matrices, _, found, _ = zip(*waiting, strict=True)
        ends = list(accumulate(map(len, matrices)))
        if ends[-1] > most and len(waiting) > 1:  # the others get a turn before the next round
            fit = max(1, sum(end <= most for end in ends))
            self._waiting[predictor] = waiting[fit:]
            asyncio.get_running_loop().call_soon(self._score, predictor)
            waiting, found = waiting[:fit], found[:fit]
        if any(map(_done, found)):
            waiting = [each for each in waiting if not each[2].done()]  # some callers have gone
        if waiting:
            self.batches += 1
            self.calls += len(waiting)
            self.rows += _settle(predictor, waiting)


def _settle(predictor: Predictor, calls: Sequence[Waiting]) -> int:
    """Returns how many rows they have."""
    matrices, outputs, _, _ = zip(*calls, strict=True)
    ends = list(accumulate(map(len, matrices)))
    scores = _scored_together(predictor, matrices)
    told = None if scores is None else _told_together(predictor, scores, outputs)
    places = map(slice, [0, *ends], ends)
    for call, place in zip(calls, places, strict=True):
        if told is None:
            _settle_one(predictor, call, None if scores is None else scores[place])
        else:
            _deliver(call, told[place])
    return ends[-1]


def _scored_together(predictor: Predictor, matrices: Sequence[Values]) -> Scores | None:
    """None where only a call on its own shows which of them is to blame, or there is no memory for all."""
    try:
        return predictor.score(np.concatenate(matrices)) if len(matrices) > 1 else None
    except Exception:
        return None


def _told_together(predictor: Predictor, scores: Scores, outputs: Sequence[Outputs | None]) -> Scores | list[bytes] | None:
    """None where they ask for different things, or one of them cannot be told."""
    if len(set(outputs)) > 1:
        return None
    try:
        return scores if outputs[0] is None else predictor.texts(scores, outputs[0])
    except Exception:
        return None


def _settle_one(predictor: Predictor, call: Waiting, scores: Scores | None) -> None:
    values, outputs, found, _ = call
    try:
        scores = predictor.score(values) if scores is None else scores
        told = scores if outputs is None else predictor.texts(scores, outputs)
    except PredictionFailed as error:
        found.set_exception(error)
    except Exception as error:  # nobody is left waiting, whatever it is
        found.set_exception(PredictionFailed(reason=f"round_failed:{type(error).__name__}"))
    else:
        _deliver(call, told)


def _deliver(call: Waiting, told: Any) -> None:
    _, _, found, then = call
    if then is None:
        found.set_result(told)
        return
    try:
        then(told, found)
    except Exception as error:  # nobody is left waiting, whatever it is
        found.set_exception(error)
