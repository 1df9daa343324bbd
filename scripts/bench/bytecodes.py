"""How many bytecodes Python executes for one answered row, of Gatehouse, of a FastAPI echo and of a bare ASGI function.

Each server is called over 64 connections, and what its event loop executes meanwhile is counted: a figure that no other work on the machine
changes by more than a percent or two. It leaves out what other threads do (usage into the database) and what C and the kernel do.
`python scripts/bench/bytecodes.py [--seconds 8] [--functions 25] [--docs]`
"""

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from comparison.contenders import BASELINES, Contender, bare, echo, gatehouse
from comparison.exchange import Orders
from comparison.finding import Finding
from comparison.load import BENCH, load_process, wait_for
from comparison.process_group import ProcessGroup, ends_what_it_started, free_port
from comparison.published import publish
from comparison.report import as_text
from comparison.turns import Turns, served
from comparison.workbench import Workbench

CONNECTIONS = 64
WRITTEN_S = 30.0
OURS = "Gatehouse"
Counted = dict[str, tuple[float, float]]
"""Of one call, by function: bytecodes and calls."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8.0, help="of load for each server, which is slow while it counts")
    parser.add_argument("--functions", type=int, default=25, help="so many of Gatehouse's are shown, the longest first")
    parser.add_argument("--docs", action="store_true", help="put what is found into docs/performance.md")
    given = parser.parse_args()
    ends_what_it_started()
    with tempfile.TemporaryDirectory(prefix="gatehouse-bench-") as folder:
        bench = Workbench(Path(folder), Turns(1, given.seconds))
        deployment = bench.copied("counted")
        ours = gatehouse(deployment, deployment.tenant("bench", "iris"))
        started = {
            OURS: ("gatehouse", "serve"),
            "FastAPI echo": ("uvicorn", "echo:app", "--app-dir", str(BASELINES), "--no-access-log"),
            "bare ASGI": ("uvicorn", "bare:app", "--app-dir", str(BASELINES), "--no-access-log"),
        }
        counted = {
            each.name: count(bench, each, started[each.name], deployment.environment)
            for each in (ours, echo(bench.folder), bare(bench.folder))
        }
    text = "\n".join([as_text(totals(counted)), as_text(longest(counted[OURS], given.functions))])
    print(text)
    if given.docs:
        publish("bytecodes.py", text)
    return 0


def count(bench: Workbench, contender: Contender, words: Sequence[str], environment: Mapping[str, str]) -> Counted:
    """Of one call."""
    file = bench.folder / f"{contender.name.replace(' ', '-')}.json"
    with served([replace(contender, start=partial(traced, file, words, environment, bench.folder), freezes=False)], bench.on) as (running,):
        server = running.server
        orders = Orders(server.port, contender.exchanges, CONNECTIONS, bench.turns.seconds, 0.5)
        with load_process(orders, bench.on.load) as load:
            load.read()
            os.kill(server.pids[0], signal.SIGUSR1)
            load.go()
            calls = len(load.read().times)
            os.kill(server.pids[0], signal.SIGUSR1)
        wait_for(file.exists, WRITTEN_S, f"the count of {contender.name}")
    found = json.loads(file.read_text(encoding="utf-8"))
    return {function: (bytecodes / calls, times / calls) for function, (bytecodes, times) in found.items()}


def traced(file: Path, words: Sequence[str], environment: Mapping[str, str], folder: Path, cores: set[int]) -> ProcessGroup:
    """A server that counts."""
    port = free_port()
    command = [sys.executable, "-m", "comparison.traced", str(file), *words, "--port", str(port)]
    return ProcessGroup(command, {**environment, "PYTHONPATH": str(BENCH)}, folder, port, cores)


def totals(counted: Mapping[str, Counted]) -> Finding:
    rows = [["one answered row", "bytecodes", "calls of Python functions", f"{OURS} is"]]
    ours = sum(bytecodes for bytecodes, _ in counted[OURS].values())
    for name, functions in counted.items():
        bytecodes, calls = (sum(column) for column in zip(*functions.values(), strict=True))
        rows.append([name, f"{bytecodes:,.0f}", f"{calls:,.0f}", "" if name == OURS else f"{ours / bytecodes:.2f} times"])
    return Finding("Bytecodes of a call", rows)


def longest(functions: Counted, most: int) -> Finding:
    rows = [["function", "bytecodes", "calls"]]
    ordered = sorted(functions.items(), key=lambda each: -each[1][0])
    for function, (bytecodes, calls) in ordered[:most]:
        file, name, _ = function.rsplit(":", 2)
        rows.append([f"`{name}` {file}", f"{bytecodes:,.0f}", f"{calls:,.2f}"])
    return Finding("The longest functions of the road", rows)


if __name__ == "__main__":
    sys.exit(main())
