"""Joins small calls for one model into one model call, and keeps each caller's rows and troubles apart."""

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np

from gatehouse.errors import ClientGone, Overloaded, PredictionFailed, PredictionTimeout
from gatehouse.serving.engine import Scores, Values
from gatehouse.serving.predictor import Predictor
from gatehouse.serving.workers import RETRY_AFTER, Workers

T = TypeVar("T")
JOINING_ROWS = 16
"""A call of more rows is scored on its own: it would hold up those that it is joined with, and gains little."""
BATCH_ROWS = 256
HELD_ROWS = 4096
"""Rows of one model that wait or run; what comes beyond is refused at once. 256 calls of 16 rows."""


@dataclass(slots=True, eq=False)
class _Call(Generic[T]):
    """The rows of one caller, what makes the answer from their scores, and where the answer goes."""

    values: Values
    finish: Callable[[Scores], T]
    answer: "asyncio.Future[T]"
    begun: bool = False


_Outcome: TypeAlias = tuple[_Call[Any], Any, Exception | None]


@dataclass(slots=True, eq=False)
class _Line:
    """The calls for one predictor; gone when there are none. `busy` means that a batch runs, or is about to."""

    predictor: Predictor
    lane: str
    waiting: deque[_Call[Any]] = field(default_factory=deque)
    held_rows: int = 0
    busy: bool = False


class Batching:
    """A call that finds its model free goes at once; those that come while it runs gather, and are the next batch.

    So nobody waits for company. A batch is of one predictor, which is one model version under one contract; the model answers all
    its scores in any case, and each call takes from its own rows what it asked for. Only rows that have passed the contract get here.
    """

    def __init__(self, workers: Workers, *, batch_rows: int = BATCH_ROWS, held_rows: int = HELD_ROWS) -> None:
        self._workers = workers
        self._batch_rows = batch_rows
        self._held_rows = held_rows
        self._lock = threading.Lock()
        self._lines: dict[Predictor, _Line] = {}
        self.batches = self.calls = self.rows = 0
        """What was begun since the start."""

    async def run(
        self,
        predictor: Predictor,
        values: Values,
        finish: Callable[[Scores], T],
        *,
        lane: str,
        deadline_s: float,
        tenant: str = "",
        gone: Callable[[], Awaitable[object]] | None = None,
    ) -> T:
        """What `finish` makes of the scores of these rows, in a worker thread. `gone` ends when the caller has gone.

        Raises what `finish` raises, PredictionFailed, Overloaded, PredictionTimeout past the deadline, and ClientGone when the caller
        has gone before its rows were begun.
        """
        if len(values) > JOINING_ROWS or not predictor.joins:
            return await self._workers.run(lambda: finish(predictor.score(values)), deadline_s, f"{lane} alone", tenant)
        call = _Call(values, finish, asyncio.get_running_loop().create_future())
        line = self._enter(predictor, lane, call)
        try:
            return await self._wait(line, call, deadline_s, gone)
        finally:
            if not call.answer.cancel():
                call.answer.exception()  # looked at, also where the caller went away at this very moment
            self._drop(line, call)

    async def _wait(self, line: _Line, call: _Call[T], deadline_s: float, gone: Callable[[], Awaitable[object]] | None) -> T:
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + deadline_s
        watch = asyncio.ensure_future(gone()) if gone else None
        try:
            await asyncio.wait((call.answer, watch) if watch else (call.answer,), timeout=deadline_s, return_when="FIRST_COMPLETED")
            if watch and watch.done() and not call.answer.done():
                if self._drop(line, call):
                    raise ClientGone()
                await asyncio.wait((call.answer,), timeout=ends_at - loop.time())
        finally:
            if watch:
                watch.cancel()
        if not call.answer.done():
            raise PredictionTimeout(reason="deadline_passed")
        return call.answer.result()

    def _enter(self, predictor: Predictor, lane: str, call: _Call[Any]) -> _Line:
        """Put the call in line, and begin when the model is free. Raises Overloaded."""
        with self._lock:
            line = self._lines.get(predictor) or _Line(predictor, lane)
            if line.held_rows + len(call.values) > self._held_rows:
                raise Overloaded(reason="batching_full", headers=RETRY_AFTER)
            self._lines[predictor] = line
            line.waiting.append(call)
            line.held_rows += len(call.values)
            if not line.busy:
                line.busy = True
                # after what is ready on the loop now, so that calls which came in together go together
                call.answer.get_loop().call_soon(self._begin, line)
        return line

    def _begin(self, line: _Line) -> None:
        """Ask for a thread; what the batch is made of is decided when it is there."""
        try:
            self._workers.submit(partial(self._work, line), line.lane)
        except Overloaded as refusal:
            with self._lock:
                _deliver([(call, None, refusal) for call in line.waiting])
                line.waiting.clear()
                del self._lines[line.predictor]

    def _drop(self, line: _Line, call: _Call[Any]) -> bool:
        """Take the call out of the line; False when its rows have begun or are done."""
        with self._lock:
            if call.begun or call not in line.waiting:
                return False
            line.waiting.remove(call)
            line.held_rows -= len(call.values)
            return True

    def _work(self, line: _Line) -> None:
        """One batch, in a worker thread; then the next one queues up behind the work of other models."""
        batch = self._take(line)
        try:
            _answer(line.predictor, batch)
        except BaseException as error:
            _deliver([(call, None, PredictionFailed(reason=f"batch_failed:{type(error).__name__}")) for call in batch])
            raise
        finally:
            self._end(line, batch)

    def _take(self, line: _Line) -> list[_Call[Any]]:
        batch: list[_Call[Any]] = []
        rows = 0
        with self._lock:
            while line.waiting and (not batch or rows + len(line.waiting[0].values) <= self._batch_rows):
                call = line.waiting.popleft()
                call.begun = True
                batch.append(call)
                rows += len(call.values)
            self.batches += 1
            self.calls += len(batch)
            self.rows += rows
        return batch

    def _end(self, line: _Line, batch: Sequence[_Call[Any]]) -> None:
        with self._lock:
            line.held_rows -= sum(len(call.values) for call in batch)
            if not line.waiting:
                del self._lines[line.predictor]
                return
        self._begin(line)


def _answer(predictor: Predictor, batch: Sequence[_Call[Any]]) -> None:
    """Score all rows in one model call; where that fails, or rows out are not rows in, each call's on their own."""
    if len(batch) > 1:
        try:
            scores = predictor.score(np.concatenate([call.values for call in batch]))
        except PredictionFailed:
            pass  # one of them is to blame, and only a call on its own shows which
        else:
            parts = np.split(scores, np.cumsum([len(call.values) for call in batch[:-1]]))
            _deliver([_outcome(call, partial(call.finish, part)) for call, part in zip(batch, parts, strict=True)])
            return
    for call in batch:
        if not call.answer.done():  # else nobody waits for it any more
            _deliver([_outcome(call, partial(_alone, predictor, call))])


def _alone(predictor: Predictor, call: _Call[T]) -> T:
    return call.finish(predictor.score(call.values))


def _outcome(call: _Call[Any], work: Callable[[], Any]) -> _Outcome:
    try:
        return call, work(), None
    except Exception as error:  # whatever it is, it is for this caller alone
        return call, None, error


def _deliver(outcomes: Sequence[_Outcome]) -> None:
    """Wake the callers up, all by one message to their event loop."""
    if not outcomes:
        return
    loop = outcomes[0][0].answer.get_loop()
    try:
        loop.call_soon_threadsafe(_settle, outcomes)
    except RuntimeError:  # the loop is closed, and with it nobody waits any more
        return


def _settle(outcomes: Sequence[_Outcome]) -> None:
    for call, answer, error in outcomes:
        if call.answer.done():
            continue
        if error is None:
            call.answer.set_result(answer)
        else:
            call.answer.set_exception(error)
