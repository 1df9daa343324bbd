"""Puts a clock around every function of the stages: the time of each call of the road, stage by stage, without what is nested in it."""

import inspect
import json
import statistics
from array import array
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from comparison.road import REST, STAGES, WHOLE, StageGone, owner_of

CALIBRATED = 20_000
MOST_SPOILED = 0.05
FIRST_CALLS = 200
"""Some of them wait until their credential has been looked up."""


class Clocks:
    """For calls that go down the road without waiting: one during which another begins does not count."""

    def __init__(self) -> None:
        self._names = [stage.name for stage in STAGES] + [REST]
        self._taken = [array("q") for _ in self._names]
        """Nanoseconds of each call, by stage."""
        self._now = [0] * len(self._names)
        self._nested: list[int] = []
        self._called: set[str] = set()
        self._spoiled = 0
        self._turn = object()
        self._own_ns = 0
        self._own_ns = self._calibrated()

    def put(self) -> None:
        """Around everything. Raises StageGone."""
        for place, stage in enumerate(STAGES):
            for function in stage.functions:
                owner, name = owner_of(function)
                setattr(owner, name, self._clocked(place, function, getattr(owner, name)))
        owner, name = owner_of(WHOLE)
        setattr(owner, name, self._whole(getattr(owner, name)))

    def write(self, file: Path) -> None:
        """Median microseconds by stage. Raises StageGone where a function was never called."""
        never = [each for stage in STAGES for each in stage.functions if each not in self._called]
        if never:
            raise StageGone(f"{', '.join(never)}: not called by a prediction; say in scripts/bench/comparison/road.py what is")
        if self._spoiled > max(FIRST_CALLS, len(self._taken[0]) * MOST_SPOILED):
            raise StageGone(f"{self._spoiled:,} calls had to wait on the road: their stages cannot be told apart")
        medians = {name: statistics.median(taken) / 1e3 for name, taken in zip(self._names, self._taken, strict=True)}
        file.write_text(json.dumps(medians), encoding="utf-8")

    def _clocked(self, place: int, function: str, work: Callable[..., Any]) -> Callable[..., Any]:
        nested, now = self._nested, self._now

        def end(begun: int) -> None:
            taken = perf_counter_ns() - begun
            if len(nested) < 2:  # another call has begun meanwhile
                return
            now[place] += taken - nested.pop()
            nested[-1] += taken + self._own_ns
            self._called.add(function)

        if inspect.iscoroutinefunction(work):

            @wraps(work)
            async def run(*given: Any, **named: Any) -> Any:
                if not nested:
                    return await work(*given, **named)
                nested.append(0)
                begun = perf_counter_ns()
                try:
                    return await work(*given, **named)
                finally:
                    end(begun)

        else:

            @wraps(work)
            def run(*given: Any, **named: Any) -> Any:
                if not nested:
                    return work(*given, **named)
                nested.append(0)
                begun = perf_counter_ns()
                try:
                    return work(*given, **named)
                finally:
                    end(begun)

        return run

    def _whole(self, work: Callable[..., Any]) -> Callable[..., Any]:
        nested, now = self._nested, self._now

        @wraps(work)
        async def run(app: Any, scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http" or scope["method"] != "POST":
                await work(app, scope, receive, send)
                return
            self._spoiled += 2 * bool(nested)  # this one and the one that waits
            now[:] = [0] * len(now)
            nested[:] = [0]
            mine = self._turn = object()
            begun = perf_counter_ns()
            try:
                await work(app, scope, receive, send)
            finally:
                if self._turn is mine and nested:
                    now[-1] = perf_counter_ns() - begun - nested.pop()
                    for taken, each in zip(self._taken, now, strict=True):
                        taken.append(each)
                nested.clear()

        return run

    def _calibrated(self) -> int:
        """Nanoseconds that a clock adds to what it is nested in."""
        empty = self._clocked(0, "", lambda: None)
        self._nested.append(0)
        begun = perf_counter_ns()
        for _ in range(CALIBRATED):
            empty()
        whole = perf_counter_ns() - begun
        self._nested.clear()
        self._called.clear()
        own = (whole - self._now[0]) // CALIBRATED
        self._now[0] = 0
        return own
