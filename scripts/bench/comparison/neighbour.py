"""Single rows of one tenant at half of what the server can answer, alone and beside others' calls, in turns."""

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack

from comparison.exchange import Answered, Exchange, Orders
from comparison.finding import Finding, p99_bar
from comparison.load import load_process, quantiles_ms
from comparison.process_group import awake
from comparison.turns import Running
from comparison.workbench import Workbench

CONNECTIONS = 64
LOAD = 0.5
LEAD_S = 0.5
"""So long before it the noise begins: all of its connections call at one moment then, which is another question."""
ALONE, BEGUN, BESIDE = "alone", "from the first moment", "beside"
Noise = Sequence[tuple[tuple[Exchange, ...], int]]
"""What others send, each over so many connections."""


def beside(bench: Workbench, running: Running, single: tuple[Exchange, ...], noise: Noise, what: str) -> Finding:
    """The bar is that of the p99 of all rounds: of those from the first moment of the noise or beside it under way, the higher one."""
    times: dict[str, list[float]] = {ALONE: [], BEGUN: [], BESIDE: []}
    with awake(running.server):
        most = len(called(bench, running, single, None).times) / bench.longer.seconds
        for _ in range(bench.turns.rounds):
            times[ALONE] += called(bench, running, single, most * LOAD).times
            times[BEGUN] += called(bench, running, single, most * LOAD, noise, lead_s=0.0).times
            times[BESIDE] += called(bench, running, single, most * LOAD, noise).times
    (p50, p99), (beside_p50, beside_p99) = quantiles_ms(times[ALONE]), quantiles_ms(times[BESIDE])
    title = f"Single rows of another tenant at half load, {what}"
    rows = [["", "calls", "p50", "p99"]]
    for name, taken in times.items():
        middle, high = quantiles_ms(taken)
        rows.append([name, f"{len(taken):,}", f"{middle:.2f} ms", f"{high:.2f} ms"])
    rows.append(["ratio", "", f"{beside_p50 / p50:.2f}", f"{beside_p99 / p99:.2f}"])
    begun_p50, begun_p99 = quantiles_ms(times[BEGUN])
    figures = {"calls_s": most * LOAD, "alone_ms": [p50, p99], "begun_ms": [begun_p50, begun_p99], "beside_ms": [beside_p50, beside_p99]}
    return Finding(title, rows, figures, [p99_bar(f"p99 of another tenant {what}", p99, max(begun_p99, beside_p99))])


def called(
    bench: Workbench, running: Running, single: tuple[Exchange, ...], rate: float | None, noise: Noise = (), lead_s: float = LEAD_S
) -> Answered:
    """One stretch of single rows; the noise has begun so long before it and ends after it."""
    seconds, cores, settle = bench.longer.seconds, bench.on.load, running.contender.settle
    answered: Counter[int] = Counter()
    with ExitStack() as stack:
        others = [stack.enter_context(load_process(noisy(running, each, lead_s + seconds), cores, nice=10)) for each in noise]
        orders = Orders(running.server.port, single, CONNECTIONS, seconds, 0.3, rate)
        own = stack.enter_context(load_process(orders, cores))
        for load in (*others, own):
            answered += load.read()
        for load in others:
            load.go()
        if others:
            time.sleep(lead_s)
        own.go()
        found: Answered = own.read()
        answered += found.statuses
        for load in others:
            answered += load.read().statuses
    settle(answered)
    return found


def noisy(running: Running, each: tuple[tuple[Exchange, ...], int], seconds: float) -> Orders:
    """A little longer than what it is beside."""
    exchanges, connections = each
    return Orders(running.server.port, exchanges, connections, seconds + 0.2, 0.0)
