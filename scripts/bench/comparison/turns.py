"""Contenders measured in turns, round by round, the others frozen meanwhile."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

from comparison.contenders import Contender
from comparison.exchange import Exchange, Orders
from comparison.load import Sample, Settle, measure
from comparison.process_group import ProcessGroup, awake

Measure = Callable[[ProcessGroup, Orders, set[int], Settle], Sample]


@dataclass(frozen=True, slots=True)
class Places:
    """The cores of the servers, and that of the load."""

    servers: set[int]
    load: set[int]


@dataclass(frozen=True, slots=True)
class Running:
    """A contender that serves."""

    contender: Contender
    server: ProcessGroup
    ready_s: float


def places(workers: int = 1) -> Places:
    """One core each; more workers share both with the load, so that only processor time tells something."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) == 1:
        print("This machine has one core: servers and load share it, so calls a second are too few; CPU per call holds.", file=sys.stderr)
        return Places({cores[0]}, {cores[0]})
    return Places({cores[0]}, {cores[1]}) if workers == 1 else Places(set(cores[:2]), set(cores[:2]))


@contextmanager
def served(contenders: Sequence[Contender], on: Places) -> Iterator[list[Running]]:
    """Each started after the other, then all of them frozen until their turn."""
    running: list[Running] = []
    try:
        for contender in contenders:
            server = contender.start(on.servers)
            running.append(Running(contender, server, 0.0))
            running[-1] = Running(contender, server, server.wait_until_ready(contender.ready_path))
            if contender.freezes:
                server.freeze()
        yield running
    finally:
        for each in running:
            each.server.end()


@dataclass(frozen=True, slots=True)
class Turns:
    """How long and how often."""

    rounds: int
    seconds: float
    warm_up_s: float = 0.3


def in_turns(
    running: Sequence[Running],
    on: Places,
    turns: Turns,
    connections: int,
    exchanges: Mapping[str, tuple[Exchange, ...]] | None = None,
    by: Measure = measure,
) -> dict[str, list[Sample]]:
    """The samples of each by its name; each round begins with another one. `exchanges` are sent instead of the contenders' own."""
    samples: dict[str, list[Sample]] = {each.contender.name: [] for each in running}
    for turn in range(turns.rounds):
        first = turn % len(running)
        for each in (*running[first:], *running[:first]):
            name = each.contender.name
            sent = (exchanges or {}).get(name, each.contender.exchanges)
            orders = Orders(each.server.port, sent, connections, turns.seconds, turns.warm_up_s)
            with awake(each.server) if each.contender.freezes else nullcontext():
                samples[name].append(by(each.server, orders, on.load, each.contender.settle))
    return samples
