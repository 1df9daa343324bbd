"""Batching: one model call for many callers, and no caller feels the others."""

import asyncio
import gc
import threading
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatehouse.errors import ClientGone, Overloaded, PredictionFailed, PredictionTimeout
from gatehouse.serving.batching import JOINING_ROWS, Batching
from gatehouse.serving.engines.sklearn import SklearnEngine
from gatehouse.serving.predictor import Predictor
from gatehouse.serving.workers import Workers

LONG = 30.0
RAISES, NOT_FINITE = 13.0, 14.0
OUTPUT = SimpleNamespace(task="regression", labels=(), returns=("value",), decimals=3, top_k=None)


@dataclass
class Doubler:
    """Answers twice the first column; misbehaves on two values; remembers the rows of each call. `lie` changes the number of rows."""

    calls: list[int] = field(default_factory=list)
    lie: Any = None
    ends: tuple[threading.Event, ...] = ()
    name: str = "fake"
    classes: None = None
    inline_rows: int = 0
    own_labels: bool = False

    def score(self, values: Any) -> Any:
        self.calls.append(len(values))
        for event in self.ends:
            event.wait(LONG)
        first = values[:, 0]
        if (first == RAISES).any():
            raise ValueError("one of the rows")
        scores = np.where(first == NOT_FINITE, np.nan, 2 * first)
        return self.lie(scores) if self.lie and len(values) > 1 else scores


class HandTurned:
    """Workers without threads: each piece of work is done when the test says so."""

    def __init__(self, full: bool = False) -> None:
        self.jobs: deque[Any] = deque()
        self.full = full

    def submit(self, work: Any, lane: str) -> None:
        if self.full:
            raise Overloaded(reason="workers_full")
        self.jobs.append(work)

    def turn(self) -> None:
        self.jobs.popleft()()


def joining(engine: Any) -> Predictor:
    predictor = Predictor(engine, OUTPUT)
    predictor.joins = True
    return predictor


def rows(*firsts: float) -> Any:
    return np.array([[first, 0.0] for first in firsts])


def call(batching: Batching, predictor: Predictor, *firsts: float, deadline_s: float = LONG, gone: Any = None) -> "asyncio.Task[Any]":
    def told(scores: Any) -> Any:
        return [answer["value"] for answer in predictor.told(scores, ("value",))]

    run = batching.run(predictor, rows(*firsts), told, lane="double/v1", deadline_s=deadline_s, gone=gone)
    return asyncio.get_running_loop().create_task(run)


async def settled() -> None:
    """Everything that is ready on the loop has run."""
    for _ in range(10):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what a worker thread does."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.001)


async def ends(*tasks: "asyncio.Task[Any]") -> list[Any]:
    return await asyncio.gather(*tasks, return_exceptions=True)


def played(scenario: Any) -> None:
    asyncio.run(asyncio.wait_for(scenario(), LONG))


@pytest.fixture
def engine() -> Doubler:
    return Doubler()


def test_calls_that_come_together_go_together_and_each_gets_its_own_rows(engine: Doubler) -> None:
    workers = HandTurned()
    batching, predictor = Batching(workers), joining(engine)

    async def scenario() -> None:
        tasks = [call(batching, predictor, *range(20 * n, 20 * n + 1 + n % 3)) for n in range(8)]
        await settled()
        workers.turn()
        answers = await ends(*tasks)
        assert answers == [[2.0 * first for first in range(20 * n, 20 * n + 1 + n % 3)] for n in range(8)]
        assert engine.calls == [15]

    played(scenario)


def test_a_call_that_finds_the_model_free_goes_at_once_and_those_behind_it_are_the_next_batch(engine: Doubler) -> None:
    workers = HandTurned()
    batching, predictor = Batching(workers), joining(engine)

    async def scenario() -> None:
        first = call(batching, predictor, 1)
        await settled()
        assert len(workers.jobs) == 1, "begun, without waiting for company"
        workers.turn()
        behind = [call(batching, predictor, n) for n in (2, 3, 4)]
        await settled()
        workers.turn()
        assert await ends(first, *behind) == [[2.0], [4.0], [6.0], [8.0]]
        assert engine.calls == [1, 3]
        assert not workers.jobs

    played(scenario)


def test_a_batch_has_no_more_rows_than_it_may(engine: Doubler) -> None:
    workers = HandTurned()
    batching, predictor = Batching(workers, batch_rows=5), joining(engine)

    async def scenario() -> None:
        tasks = [call(batching, predictor, n, n + 100) for n in range(4)]
        tasks.append(call(batching, predictor, *range(9)))
        await settled()
        while workers.jobs:
            workers.turn()
        assert [answer[0] for answer in await ends(*tasks)] == [0.0, 2.0, 4.0, 6.0, 0.0]
        assert engine.calls == [4, 4, 9]

    played(scenario)


def test_a_row_that_makes_the_model_raise_fails_its_own_caller_only(engine: Doubler) -> None:
    workers = HandTurned()
    batching, predictor = Batching(workers), joining(engine)

    async def scenario() -> None:
        tasks = [call(batching, predictor, *firsts) for firsts in ((1,), (2, RAISES), (3, 4), (NOT_FINITE,), (5,))]
        await settled()
        workers.turn()
        one, raising, two, not_finite, three = await ends(*tasks)
        assert [one, two, three] == [[2.0], [6.0, 8.0], [10.0]]
        assert raising.reason == "model_raised:ValueError"
        assert not_finite.reason == "model_answered_not_finite"
        assert engine.calls == [7, 1, 2, 2, 1, 1]

    played(scenario)


def test_a_number_that_is_not_finite_fails_its_own_caller_only(engine: Doubler) -> None:
    workers = HandTurned()
    batching, predictor = Batching(workers), joining(engine)

    async def scenario() -> None:
        tasks = [call(batching, predictor, *firsts) for firsts in ((1,), (2, NOT_FINITE), (3,))]
        await settled()
        workers.turn()
        one, not_finite, two = await ends(*tasks)
        assert [one, two] == [[2.0], [6.0]]
        assert isinstance(not_finite, PredictionFailed)
        assert engine.calls == [4]

    played(scenario)


LIES = {
    "a row too few": lambda scores: scores[1:],
    "a row too many": lambda scores: np.append(scores, 99.0),
    "no rows": lambda scores: scores[:0],
    "one number": lambda scores: scores[0],
    "as many numbers in another shape": lambda scores: scores.reshape(2, -1),
    "an end of the process": lambda scores: exec("raise SystemExit"),
}


@pytest.mark.parametrize("lie", LIES)
def test_where_rows_out_are_not_rows_in_the_batch_is_run_again_one_by_one(lie: str) -> None:
    workers, engine = HandTurned(), Doubler(lie=LIES[lie])
    batching, predictor = Batching(workers), joining(engine)

    async def scenario() -> None:
        tasks = [call(batching, predictor, n) for n in range(4)]
        await settled()
        workers.turn()
        assert await ends(*tasks) == [[0.0], [2.0], [4.0], [6.0]]
        assert engine.calls == [4, 1, 1, 1, 1]

    played(scenario)


def test_a_scikit_learn_regressor_cannot_pass_a_table_off_as_its_rows() -> None:
    class Table:
        n_features_in_ = 2

        def predict(self, values: Any) -> Any:
            return np.arange(4.0).reshape(2, 2)

    with pytest.raises(PredictionFailed):
        Predictor(SklearnEngine(Table(), classifies=False), OUTPUT).score(rows(1, 2, 3, 4))


def test_rows_of_a_caller_who_has_gone_or_whose_deadline_has_passed_are_not_begun(engine: Doubler) -> None:
    workers = HandTurned()
    batching, predictor = Batching(workers), joining(engine)

    async def scenario() -> None:
        left = asyncio.Event()
        tasks = [
            call(batching, predictor, 1),
            call(batching, predictor, 2, 3, gone=left.wait),
            call(batching, predictor, 4, 5, 6, deadline_s=0.01),
            call(batching, predictor, 7, 8),
            call(batching, predictor, 9),
        ]
        await settled()
        left.set()
        tasks[3].cancel()
        await asyncio.wait(tasks[1:4])
        workers.turn()
        one, gone, late, cancelled, two = await ends(*tasks)
        assert [one, two] == [[2.0], [18.0]]
        assert [type(each) for each in (gone, late, cancelled)] == [ClientGone, PredictionTimeout, asyncio.CancelledError]
        assert engine.calls == [2]
        assert not workers.jobs

    played(scenario)


def test_a_caller_who_goes_after_the_rows_were_begun_is_answered_all_the_same() -> None:
    release, left = threading.Event(), asyncio.Event()
    engine, workers = Doubler(ends=(release,)), Workers(3, 4)
    batching, predictor = Batching(workers), joining(engine)

    async def scenario() -> None:
        task = call(batching, predictor, 1, gone=left.wait)
        await until(lambda: bool(engine.calls))
        left.set()
        await settled()
        assert not task.done()
        release.set()
        assert await task == [2.0]

    played(scenario)
    workers.close()


def test_row_62_past_the_deadline_the_place_is_held_until_the_thread_is_done() -> None:
    release = threading.Event()
    engine, workers = Doubler(ends=(release,)), Workers(3, 4)
    batching, predictor = Batching(workers, held_rows=3), joining(engine)

    async def scenario() -> None:
        with pytest.raises(PredictionTimeout):
            await call(batching, predictor, 1, 2, deadline_s=0.01)
        waiting = call(batching, predictor, 3)
        await settled()
        with pytest.raises(Overloaded) as refused:
            await call(batching, predictor, 4)
        assert dict(refused.value.headers) == {"Retry-After": "1"}
        release.set()
        assert await waiting == [6.0]
        await until(lambda: not batching._lines)
        assert await call(batching, predictor, 5, 6, 7) == [10.0, 12.0, 14.0]

    played(scenario)
    workers.close()


def test_a_caller_who_leaves_the_line_frees_its_place(engine: Doubler) -> None:
    workers = HandTurned()
    batching, predictor = Batching(workers, held_rows=3), joining(engine)

    async def scenario() -> None:
        left = asyncio.Event()
        first = call(batching, predictor, 1)
        leaving = call(batching, predictor, 2, 3, gone=left.wait)
        await settled()
        with pytest.raises(Overloaded):
            await call(batching, predictor, 4)
        left.set()
        await asyncio.wait([leaving])
        last = call(batching, predictor, 5, 6)
        await settled()
        workers.turn()
        assert (await ends(first, last)) == [[2.0], [10.0, 12.0]]

    played(scenario)


def test_a_line_that_never_empties_lets_in_as_many_rows_as_have_been_answered(engine: Doubler) -> None:
    workers = HandTurned()
    batching, predictor = Batching(workers, batch_rows=1, held_rows=2), joining(engine)

    async def scenario() -> None:
        tasks = [call(batching, predictor, 0), call(batching, predictor, 1)]
        for n in range(2, 8):
            await settled()
            workers.turn()
            tasks.append(call(batching, predictor, n))
        await settled()
        workers.turn()
        workers.turn()
        assert await ends(*tasks) == [[2.0 * n] for n in range(8)]

    played(scenario)


def test_where_no_thread_can_be_had_every_caller_in_line_is_told_and_the_line_is_open_again(engine: Doubler) -> None:
    workers = HandTurned(full=True)
    batching, predictor = Batching(workers), joining(engine)

    async def scenario() -> None:
        refused = await ends(*(call(batching, predictor, n) for n in range(3)))
        assert [type(each) for each in refused] == [Overloaded] * 3
        workers.full = False
        first = call(batching, predictor, 1)
        await settled()
        workers.turn()
        assert await first == [2.0]

    played(scenario)


def test_large_calls_and_those_of_models_whose_rows_do_not_stand_alone_are_scored_on_their_own(engine: Doubler) -> None:
    workers = Workers(5, 16)
    batching = Batching(workers)
    large, lonely = joining(engine), Doubler()
    alone = Predictor(lonely, OUTPUT)

    async def scenario() -> None:
        answers = await asyncio.gather(*(call(batching, large, *[n] * (JOINING_ROWS + 1)) for n in range(3)))
        assert [answer[0] for answer in answers] == [0.0, 2.0, 4.0]
        assert engine.calls == [JOINING_ROWS + 1] * 3
        assert await asyncio.gather(*(call(batching, alone, n) for n in range(3))) == [[0.0], [2.0], [4.0]]
        assert lonely.calls == [1] * 3

    played(scenario)
    workers.close()


def test_versions_never_share_a_batch_and_the_old_one_ends_on_the_old_model() -> None:
    class Old(Doubler):
        def score(self, values: Any) -> Any:
            return super().score(values) + 1

    workers, old, new = HandTurned(), Old(), Doubler()
    batching, before, after = Batching(workers), joining(old), joining(new)

    async def scenario() -> None:
        tasks = [call(batching, before if n % 2 else after, n) for n in range(6)]
        await settled()
        while workers.jobs:
            workers.turn()
        assert await ends(*tasks) == [[0.0], [3.0], [4.0], [7.0], [8.0], [11.0]]
        assert (old.calls, new.calls) == ([3], [3])

    played(scenario)


def test_nothing_holds_a_predictor_whose_calls_are_over() -> None:
    workers = HandTurned()
    batching = Batching(workers)

    async def scenario() -> "weakref.ref[Predictor]":
        predictor = joining(Doubler())
        task = call(batching, predictor, 1)
        await settled()
        workers.turn()
        await task
        return weakref.ref(predictor)

    kept = asyncio.run(scenario())
    gc.collect()
    assert kept() is None
    assert not batching._lines


def test_row_63_the_model_and_the_writing_of_the_answer_run_in_worker_threads() -> None:
    names: list[str] = []

    class Named(Doubler):
        def score(self, values: Any) -> Any:
            names.append(threading.current_thread().name)
            return super().score(values)

    workers, predictor = Workers(3, 4), joining(Named())

    async def scenario() -> None:
        def told(scores: Any) -> str:
            return threading.current_thread().name

        names.append(await Batching(workers).run(predictor, rows(1), told, lane="a", deadline_s=LONG))

    played(scenario)
    workers.close()
    assert all(name.startswith("gatehouse-worker") for name in names)


FIRSTS = st.lists(st.integers(0, 500).map(float) | st.sampled_from([RAISES, NOT_FINITE]), min_size=1, max_size=4)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("call"), FIRSTS),
        st.tuples(st.sampled_from(["leave", "cancel"]), st.integers(0, 30)),
        st.tuples(st.sampled_from(["turn", "settle", "switch"]), st.none()),
    ),
    max_size=30,
)


class Play:
    """Steps in any order, by two versions of a model of which one serves at a time."""

    def __init__(self, lie: str, batch_rows: int) -> None:
        self.lie = lie
        self.workers = HandTurned()
        self.batching = Batching(self.workers, batch_rows=batch_rows)
        self.versions = deque(joining(Doubler(lie=LIES.get(lie))) for _ in range(2))
        self.tasks: list[tuple[list[float], asyncio.Task[Any], asyncio.Event]] = []
        self.disturbed: set[int] = set()

    def call(self, firsts: list[float]) -> None:
        left = asyncio.Event()
        self.tasks.append((firsts, call(self.batching, self.versions[0], *firsts, gone=left.wait), left))

    def leave(self, place: int) -> None:
        if place < len(self.tasks):
            self.disturbed.add(place)
            self.tasks[place][2].set()

    def cancel(self, place: int) -> None:
        if place < len(self.tasks):
            self.disturbed.add(place)
            self.tasks[place][1].cancel()

    def turn(self, _: None) -> None:
        if self.workers.jobs:
            self.workers.turn()

    def switch(self, _: None) -> None:
        self.versions.rotate()

    async def played(self, steps: list[Any]) -> None:
        for step, argument in steps:
            await settled() if step == "settle" else getattr(self, step)(argument)
        await settled()
        while self.workers.jobs:
            self.workers.turn()
            await settled()
        for place, (firsts, task, _) in enumerate(self.tasks):
            (answer,) = await ends(task)
            if not (place in self.disturbed and isinstance(answer, ClientGone | asyncio.CancelledError)):
                self.check(firsts, answer)

    def check(self, firsts: list[float], answer: Any) -> None:
        lied_to = self.lie and len(firsts) > 1  # by a lie about one caller's own rows only that caller is hit
        if RAISES in firsts or NOT_FINITE in firsts or lied_to:
            assert isinstance(answer, PredictionFailed)
        else:
            assert answer == [2 * first for first in firsts]


@settings(max_examples=150, deadline=None)
@given(STEPS, st.sampled_from(["", *LIES]), st.integers(1, 8))
def test_in_whatever_order_each_caller_gets_its_own_answer_and_no_place_is_lost(steps: list[Any], lie: str, batch_rows: int) -> None:
    async def scenario() -> None:
        play = Play(lie, batch_rows)
        await play.played(steps)
        assert not play.batching._lines

    played(scenario)
