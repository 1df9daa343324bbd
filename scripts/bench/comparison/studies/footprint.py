"""Start-up time until ready, memory of a worker with the demo models, and how it grows."""

import statistics
from collections.abc import Sequence

from comparison.contenders import Contender, gatehouse, tutorial
from comparison.exchange import Orders
from comparison.finding import Bar, Finding
from comparison.load import measure
from comparison.process_group import awake
from comparison.turns import Running, served
from comparison.workbench import Workbench

CONNECTIONS = 64
STARTS = 3
"""In a short run."""
OURS, TUTORIAL = "Gatehouse", "tutorial"
WARM_CALLS, MANY_CALLS = 20_000, 1_000_000
LONGEST_S = 1_800.0
MIB = 2**20
MOST_READY, MOST_MEMORY, MOST_GROWTH_MIB = 2.0, 1.3, 5.0


def study(bench: Workbench) -> list[Finding]:
    deployment = bench.copied("footprint")
    contenders = [tutorial(bench.folder, bench.forest), gatehouse(deployment, deployment.tenant("bench", "iris"))]
    ready: dict[str, list[float]] = {each.name: [] for each in contenders}
    memory: dict[str, list[float]] = {each.name: [] for each in contenders}
    for _ in range(bench.turns.rounds if bench.full else min(STARTS, bench.turns.rounds)):
        with served(contenders, bench.on) as running:
            for each in running:
                ready[each.contender.name].append(each.ready_s)
                memory[each.contender.name].append(after_calls(bench, each) / MIB)
    growth = growth_mib(bench, contenders[-1:]) if bench.full else None
    deployment.check_events()
    deployment.close()
    return [shown(ready, memory, growth)]


def after_calls(bench: Workbench, running: Running, calls: int | None = None) -> int:
    """Bytes once it has answered for a while, or so many calls."""
    seconds = LONGEST_S if calls else bench.turns.seconds
    orders = Orders(running.server.port, running.contender.exchanges, CONNECTIONS, seconds, 0.3, None, calls)
    with awake(running.server):
        measure(running.server, orders, bench.on.load, running.contender.settle)
        return running.server.memory_bytes()


def growth_mib(bench: Workbench, contenders: Sequence[Contender]) -> float:
    """From the first ten thousands of calls to a million more."""
    with served(contenders, bench.on) as (running,):
        before = after_calls(bench, running, WARM_CALLS)
        return (after_calls(bench, running, MANY_CALLS) - before) / MIB


def shown(ready: dict[str, list[float]], memory: dict[str, list[float]], growth: float | None) -> Finding:
    middle = statistics.median
    rows = [
        ["server", "ready after", "memory"],
        *([name, f"{middle(ready[name]):.2f} s", f"{middle(memory[name]):.0f} MiB"] for name in ready),
    ]

    def times(of: dict[str, list[float]]) -> float:
        return middle(ours / theirs for ours, theirs in zip(of[OURS], of[TUTORIAL], strict=True))

    bars = [
        Bar("time until ready against the tutorial's", MOST_READY, times(ready), least=False),
        Bar("memory of a worker against the tutorial's", MOST_MEMORY, times(memory), least=False),
        Bar(f"growth after {MANY_CALLS:,} calls", MOST_GROWTH_MIB, growth, least=False, unit="MiB"),
    ]
    figures = {"ready_s": ready, "memory_mib": memory, "growth_mib": growth}
    return Finding("Start and memory, one worker with the demo models", rows, figures, bars)
