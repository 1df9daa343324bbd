"""One measurement of one server: the load process on its core, and the server's processor time meanwhile."""

import os
import pickle
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from comparison.exchange import Answered, Orders
from comparison.process_group import ProcessGroup, placed

BENCH = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Sample:
    """One round of one server."""

    calls_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    """Of all of the server's processes, for each call, what it did behind its answers included."""
    load_share: float
    """Of the load's core that the load process used."""
    statuses: Counter[int] = field(default_factory=Counter)
    """Of all answers, those of the warm-up too."""


class Settle(Protocol):
    """Returns when the server has done all that those answers left to be done; `cut_off` more calls may have been under way."""

    def __call__(self, statuses: Counter[int], cut_off: int = 0) -> None: ...


def measure(server: ProcessGroup, orders: Orders, cores: set[int], settle: Settle) -> Sample:
    """By our own driver."""
    with load_process(orders, cores) as load:
        warm: Counter[int] = load.read()
        settle(warm)
        before = server.cpu_s()
        load.go()
        answered: Answered = load.read()
        at_the_last = server.cpu_s()
        settle(answered.statuses)
        behind_s = server.cpu_s() - at_the_last
        return sample_of(answered, warm, at_the_last - before, behind_s)


def sample_of(answered: Answered, warm: Counter[int], cpu_s: float, behind_s: float) -> Sample:
    """What was left to be done after the last answer takes time from the same core: as if it had been done before."""
    calls = len(answered.times)
    p50, p99 = quantiles_ms(answered.times)
    return Sample(
        calls / (answered.seconds + behind_s),
        p50,
        p99,
        (cpu_s + behind_s) / calls * 1e6,
        answered.own_cpu_s / answered.seconds,
        answered.statuses + warm,
    )


def quantiles_ms(times: list[float]) -> tuple[float, float]:
    """p50 and p99."""
    if len(times) < 2:
        return times[0] * 1e3, times[0] * 1e3
    cut = statistics.quantiles(times, n=100, method="inclusive")
    return cut[49] * 1e3, cut[98] * 1e3


class LoadProcess:
    """A driver that waits for orders."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def read(self) -> Any:
        """What it says next. Raises SystemExit where it has found a wrong answer, which it has printed."""
        assert self._process.stdout is not None
        try:
            return pickle.load(self._process.stdout)
        except EOFError:
            raise SystemExit("the load ended early: what it has found stands above") from None

    def go(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()


@contextmanager
def load_process(orders: Orders, cores: set[int], nice: int = 0) -> Iterator[LoadProcess]:
    """A driver with its orders; it warms the server up and then waits. One that is not measured gives way by its niceness."""

    with subprocess.Popen(
        [sys.executable, "-m", "comparison.driver"],
        env={**os.environ, "PYTHONPATH": str(BENCH)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        preexec_fn=partial(placed, cores, nice),
    ) as process:
        assert process.stdin is not None
        try:
            pickle.dump(orders, process.stdin)
            process.stdin.flush()
            yield LoadProcess(process)
        finally:
            process.terminate()


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Raises SystemExit."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.02)
