"""Rounds: what is ready in one turn of the event loop is one call of the model, and no caller feels the others."""

import asyncio
import math
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from outputs import Label, Output

from gatehouse.errors import PredictionFailed
from gatehouse.serving.predictor import Predictor
from gatehouse.serving.rounds import Rounds

RAISES = 13.0
LABELS = (Label(2, "c"), Label(0, "a"), Label(1, "b"))
OUTPUT = SimpleNamespace(task="regression", labels=(), returns=("value",), decimals=3, top_k=None)


@dataclass
class Doubler:
    """Answers twice the first column, and remembers the rows of each call."""

    inline_rows: int = 8
    calls: list[int] = field(default_factory=list)
    name: str = "fake"
    classes: None = None
    own_labels: bool = False

    def score(self, values: Any) -> Any:
        self.calls.append(len(values))
        if (values[:, 0] == RAISES).any():
            raise ValueError("one of the rows")
        return 2 * values[:, 0]


def rows(*cells: float) -> Any:
    return np.array([[cell] for cell in cells])


def scored(engine: Doubler, *calls: Any) -> list[Any]:
    """What comes of calls that are made in one turn of the loop."""
    rounds, predictor = Rounds(), Predictor(engine, OUTPUT)

    async def all_of_them() -> list[Any]:
        return await asyncio.gather(*(rounds.score(predictor, each) for each in calls), return_exceptions=True)

    found = asyncio.run(all_of_them())
    assert (rounds.calls, rounds.rows) == (len(calls), sum(map(len, calls)))
    return [each if isinstance(each, BaseException) else each.tolist() for each in found]


def test_calls_of_one_turn_are_scored_together_and_each_gets_its_own_rows() -> None:
    engine = Doubler()
    assert scored(engine, rows(1), rows(2, 3), rows(4)) == [[2], [4, 6], [8]]
    assert engine.calls == [4]


def test_a_single_one_is_scored_as_it_is() -> None:
    engine = Doubler()
    assert scored(engine, rows(5)) == [[10]]
    assert engine.calls == [1]


def test_no_round_is_larger_than_what_may_hold_the_loop_and_all_get_their_turn_in_order() -> None:
    engine = Doubler(inline_rows=4)
    assert scored(engine, *(rows(cell, cell) for cell in range(5))) == [[2 * cell] * 2 for cell in range(5)]
    assert engine.calls == [4, 4, 2]


def test_a_row_on_which_the_model_raises_fails_its_own_call_alone() -> None:
    engine = Doubler()
    first, failed, last = scored(engine, rows(1), rows(RAISES), rows(3))
    assert (first, last) == ([2], [6])
    assert isinstance(failed, PredictionFailed)
    assert failed.reason == "model_raised:ValueError"


def test_whatever_breaks_in_a_round_no_call_is_left_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(_parts: Any) -> Any:
        raise MemoryError

    engine = Doubler()
    with monkeypatch.context() as broken:
        broken.setattr(np, "concatenate", no_memory)
        assert scored(engine, rows(1), rows(2)) == [[2], [4]]
    with monkeypatch.context() as broken:
        broken.setattr(Predictor, "score", no_memory_at_all)
        failed = scored(engine, rows(1), rows(2))
    assert [(type(each), each.reason) for each in failed] == [(PredictionFailed, "round_failed:MemoryError")] * 2


def no_memory_at_all(_predictor: Predictor, _values: Any) -> Any:
    raise MemoryError


def test_another_model_has_a_round_of_its_own() -> None:
    rounds, engines = Rounds(), [Doubler(), Doubler()]
    predictors = [Predictor(engine, OUTPUT) for engine in engines]

    async def both() -> list[Any]:
        return await asyncio.gather(*(rounds.score(predictor, rows(cell)) for cell in (1, 2) for predictor in predictors))

    assert [each.tolist() for each in asyncio.run(both())] == [[2], [2], [4], [4]]
    assert [engine.calls for engine in engines] == [[2], [2]]


def test_a_caller_that_has_gone_is_not_scored_and_harms_nobody() -> None:
    engine, rounds = Doubler(), Rounds()
    predictor = Predictor(engine, OUTPUT)

    async def one_goes() -> Any:
        gone, stays = rounds.score(predictor, rows(1)), rounds.score(predictor, rows(2))
        gone.cancel()
        return await stays

    assert asyncio.run(one_goes()).tolist() == [4]
    assert engine.calls == [1]
    assert (rounds.batches, rounds.calls, rounds.rows) == (1, 1, 1)


def test_all_callers_of_a_round_may_have_gone() -> None:
    engine, rounds = Doubler(), Rounds()

    async def all_go() -> None:
        rounds.score(Predictor(engine, OUTPUT), rows(1)).cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(all_go())
    assert engine.calls == []


@pytest.mark.parametrize("lie", [lambda scores: scores[:-1], lambda scores: scores.reshape(-1, 1)])
def test_a_model_that_answers_other_rows_than_it_was_given_is_asked_for_each_call_alone(lie: Any) -> None:
    class Liar(Doubler):
        def score(self, values: Any) -> Any:
            scores = super().score(values)
            return lie(scores) if len(values) > 1 else scores

    engine = Liar()
    assert scored(engine, rows(1), rows(2)) == [[2], [4]]
    assert engine.calls == [2, 1, 1]


ALL = ("label", "confidence", "probabilities")


class Proportions:
    """Answers the rows as they are, which are then probabilities; never more than `inline_rows` of them."""

    name, classes, own_labels, inline_rows = "fake", (0, 1, 2), False, 9

    def score(self, values: Any) -> Any:
        assert len(values) <= self.inline_rows
        return values.astype(np.float64)


PROPORTIONS = [0.0, -0.0, 1 / 3, 0.5, 0.00005, 0.00015, 1 - 1e-16, 1.0, 1e17, math.nan]


@settings(max_examples=300, deadline=None)
@given(
    calls=st.lists(
        st.tuples(
            st.lists(st.lists(st.sampled_from(PROPORTIONS[:-1]) | st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=3),
            st.sampled_from([ALL, ALL, ALL, ("label",), ("probabilities", "confidence"), None]),
        ),
        min_size=1,
        max_size=9,
    ),
    broken=st.none() | st.integers(0, 8),
    top_k=st.none() | st.just(2),
)
def test_each_call_is_told_to_the_byte_what_it_is_told_alone(calls: list[Any], broken: int | None, top_k: int | None) -> None:
    predictor, rounds = Predictor(Proportions(), Output(labels=LABELS, top_k=top_k)), Rounds()
    if broken is not None:
        calls[broken % len(calls)][0][0][0] = math.nan

    def alone(values: Any, outputs: Any) -> Any:
        try:
            return predictor.score(values) if outputs is None else predictor.answer(values, outputs)
        except PredictionFailed as error:
            return error

    async def together() -> list[Any]:
        answers = (rounds.answer(predictor, np.array(values), outputs) for values, outputs in calls)
        return await asyncio.gather(*answers, return_exceptions=True)

    for found, (values, outputs) in zip(asyncio.run(together()), calls, strict=True):
        assert as_sent(found) == as_sent(alone(np.array(values), outputs))


def as_sent(answer: Any) -> bytes | tuple[Any, ...]:
    if isinstance(answer, PredictionFailed):
        return type(answer), answer.reason
    if isinstance(answer, np.ndarray):
        return answer.tobytes()
    return b"[%b]" % b",".join(row if isinstance(row, bytes) else msgspec.json.encode(row) for row in answer)


def test_telling_fails_no_other_call_of_its_round_and_leaves_none_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    def texts(_predictor: Predictor, scores: Any, outputs: Any) -> Any:
        if 4 in scores:
            raise KeyError("one of the rows")
        return [(outputs, score) for score in scores.tolist()]

    monkeypatch.setattr(Predictor, "texts", texts)
    rounds, predictor = Rounds(), Predictor(Doubler(), OUTPUT)

    async def both() -> list[Any]:
        return await asyncio.gather(*(rounds.answer(predictor, rows(cell), ("value",)) for cell in (1, 2)), return_exceptions=True)

    first, second = asyncio.run(both())
    assert first == [(("value",), 2)]
    assert (type(second), second.reason) == (PredictionFailed, "round_failed:KeyError")


def test_what_is_done_first_settles_its_own_call_when_it_likes_and_fails_nobody_elses() -> None:
    rounds, predictor = Rounds(), Predictor(Doubler(), OUTPUT)
    later: list[tuple[Any, asyncio.Future[Any]]] = []

    def fails(_told: Any, _waiter: asyncio.Future[Any]) -> None:
        raise LookupError("this call's own")

    async def all_of_them() -> list[Any]:
        at_once = rounds.answer(predictor, rows(1), ("value",), lambda told, waiter: waiter.set_result([b"first", *told]))
        plain = rounds.answer(predictor, rows(2), ("value",))
        failed = rounds.answer(predictor, rows(3), ("value",), fails)
        waits = rounds.answer(predictor, rows(4), ("value",), lambda told, waiter: later.append((told, waiter)))
        found = await asyncio.gather(at_once, plain, failed, return_exceptions=True)
        assert not waits.done()
        ((told, waiter),) = later
        waiter.set_result(told)
        return [*found, await waits]

    first, plain, failed, last = asyncio.run(all_of_them())
    assert (first, plain, last) == ([b"first", b'{"value":2.0}'], [b'{"value":4.0}'], [b'{"value":8.0}'])
    assert isinstance(failed, LookupError)


def test_what_is_done_first_is_not_done_for_a_call_that_fails_or_has_gone() -> None:
    rounds, predictor, done = Rounds(), Predictor(Doubler(), OUTPUT), []

    def then(told: Any, waiter: asyncio.Future[Any]) -> None:
        done.append(told)
        waiter.set_result(told)

    async def all_of_them() -> list[Any]:
        calls = [rounds.answer(predictor, each, ("value",), then) for each in (rows(RAISES), rows(1), rows(2))]
        calls[2].cancel()
        return await asyncio.gather(*calls, return_exceptions=True)

    failed, right, gone = asyncio.run(all_of_them())
    assert (type(failed), right, type(gone)) == (PredictionFailed, [b'{"value":2.0}'], asyncio.CancelledError)
    assert done == [[b'{"value":2.0}']]
