"""Puts a clock around every function of the stages: what each takes of the event loop's time, without what is nested in it."""

import inspect
import json
import statistics
from array import array
from collections.abc import Callable, Coroutine, Generator
from functools import partial, wraps
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from comparison.road import REST, STAGES, WHOLE, StageGone, owner_of

CALIBRATED = 20_000
BATCHES = 40
INTERRUPTED = 20
"""A step that takes so many times as long as most of its stage has been interrupted by another process: it counts as they do."""


class Clocks:
    """On the event loop: calls wait for each other on the road, and a clock stands while its call does."""

    def __init__(self) -> None:
        self._taken = {name: array("q") for name in [*(stage.name for stage in STAGES), REST]}
        """Nanoseconds of each step, by stage."""
        self._nested: list[int] = []
        """Of each step under way, what was nested in it."""
        self._called: set[str] = set()
        self._calls = 0
        self._own_ns = 0
        self._own_ns = self._calibrated()

    def put(self) -> None:
        """Around everything. Raises StageGone."""
        for stage in STAGES:
            for function in stage.functions:
                owner, name = owner_of(function)
                setattr(owner, name, self._clocked(stage.name, function, getattr(owner, name)))
        owner, name = owner_of(WHOLE)
        setattr(owner, name, self._whole(getattr(owner, name)))

    def write(self, file: Path) -> None:
        """Microseconds of a call by stage. Raises StageGone where a function was never called."""
        never = [each for stage in STAGES for each in stage.functions if each not in self._called]
        if never:
            raise StageGone(f"{', '.join(never)}: not called by a prediction; say in scripts/bench/comparison/road.py what is")
        of_a_call = {name: _sum_ns(steps) / self._calls / 1e3 for name, steps in self._taken.items()}
        file.write_text(json.dumps(of_a_call), encoding="utf-8")

    def step(self, name: str, work: Callable[[], Any]) -> Any:
        """Do a part of a stage, by the clock."""
        nested = self._nested
        nested.append(0)
        begun = perf_counter_ns()
        try:
            return work()
        finally:
            taken = perf_counter_ns() - begun
            self._taken[name].append(taken - nested.pop())
            if nested:
                nested[-1] += taken + self._own_ns

    def _clocked(self, name: str, function: str, work: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(work)
        def run(*given: Any, **named: Any) -> Any:
            self._called.add(function)
            if inspect.iscoroutinefunction(work):
                return _Stepping(self, name, work(*given, **named))
            return self.step(name, partial(work, *given, **named))

        return run

    def _whole(self, work: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(work)
        async def run(app: Any, scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http" or scope["method"] != "POST":
                await work(app, scope, receive, send)
                return
            self._calls += 1
            await _Stepping(self, REST, work(app, scope, receive, send))

        return run

    def _calibrated(self) -> int:
        """Nanoseconds that a clock adds to what it is nested in."""
        empty = self._clocked(REST, "", lambda: None)
        own = []
        for _ in range(BATCHES):  # the median of them: another process interrupts some
            begun = perf_counter_ns()
            for _ in range(CALIBRATED // BATCHES):
                empty()
            whole = perf_counter_ns() - begun
            own.append((whole - sum(self._taken[REST])) * BATCHES // CALIBRATED)
            del self._taken[REST][:]
        self._called.clear()
        return int(statistics.median(own))


class _Stepping:
    """A coroutine whose every step is clocked."""

    def __init__(self, clocks: Clocks, name: str, work: Coroutine[Any, Any, Any]) -> None:
        self._clocks = clocks
        self._name = name
        self._work = work

    def __await__(self) -> Generator[Any, Any, Any]:
        go_on, given = self._work.send, None
        while True:
            try:
                waits_for = self._clocks.step(self._name, partial(go_on, given))
            except StopIteration as end:
                return end.value
            try:
                go_on, given = self._work.send, (yield waits_for)
            except BaseException as error:  # as a coroutine that is awaited without a clock would be told
                go_on, given = self._work.throw, error


def _sum_ns(steps: "array[int]") -> float:
    if not steps:
        return 0.0
    usual = statistics.median(steps)
    return sum(each if each <= INTERRUPTED * usual else usual for each in steps)
