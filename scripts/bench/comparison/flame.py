"""Draws a flame graph of a server under load, by py-spy: `make profile`, which writes .bench/profile.svg.

`PYTHONPATH=scripts/bench python -m comparison.flame [--out FILE] [--seconds 10] [--connections 64]`
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from comparison.contenders import gatehouse
from comparison.environments import BASELINES, BENCH, NotInstalled, packages
from comparison.exchange import Orders
from comparison.load import load_process
from comparison.process_group import ends_what_it_started
from comparison.turns import Turns, served
from comparison.workbench import Workbench

SAMPLES_A_SECOND = 500


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=BENCH / "profile.svg")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--connections", type=int, default=64)
    given = parser.parse_args()
    ends_what_it_started()
    try:
        py_spy = packages("py-spy", BASELINES / "profile-requirements.txt") / "bin" / "py-spy"
    except NotInstalled as error:
        raise SystemExit(f"py-spy cannot be installed: {error}") from None
    with tempfile.TemporaryDirectory(prefix="gatehouse-bench-") as folder:
        draw(Workbench(Path(folder), Turns(1, given.seconds)), py_spy, given.out, given.connections)
    print(f"Drawn: {given.out}")
    return 0


def draw(bench: Workbench, py_spy: Path, out: Path, connections: int) -> None:
    """While the load runs. Raises SystemExit where py-spy may not read the server's memory."""
    deployment = bench.copied("profile")
    ours = gatehouse(deployment, deployment.tenant("bench", "iris"))
    out.parent.mkdir(parents=True, exist_ok=True)
    seconds = round(bench.turns.seconds)
    with served([ours], bench.on) as (running,):
        running.server.thaw()
        orders = Orders(running.server.port, ours.exchanges, connections, seconds + 1.0)
        with load_process(orders, bench.on.load) as load:
            load.read()
            load.go()
            words = [str(py_spy), "record", "--pid", str(running.server.pids[0]), "--output", str(out), "--duration", str(seconds)]
            words += ["--rate", str(SAMPLES_A_SECOND)]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            load.read()
    deployment.close()
    if done.returncode:
        raise SystemExit(
            f"py-spy: {done.stderr.strip()}\nOn Linux it must be let in: run this as root, or set kernel.yama.ptrace_scope to 0."
        )


if __name__ == "__main__":
    sys.exit(main())
