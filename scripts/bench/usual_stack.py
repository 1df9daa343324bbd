"""A secured prediction of Gatehouse against the usual stack: each server on one core, the load on another, in turns, the others frozen.

`python scripts/bench/usual_stack.py [--rounds 5] [--seconds 1] [--connections 64]`
"""

import argparse
import sys
import tempfile
from pathlib import Path

from comparison.contenders import bare, echo, gatehouse, tutorial
from comparison.deployment import Deployment
from comparison.figures import all_figures
from comparison.table import comparison_rows, lines_of
from comparison.turns import Turns, in_turns, places, served

from gatehouse.serving.recipes import train_recipe

IRIS = Path(__file__).parents[2] / "models" / "iris"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--connections", type=int, default=64)
    given = parser.parse_args()
    on = places()
    with tempfile.TemporaryDirectory(prefix="gatehouse-bench-") as name:
        folder = Path(name)
        estimator = folder / "iris.joblib"
        estimator.write_bytes(train_recipe(IRIS, "v1"))
        deployment = Deployment(folder, {})
        deployment.prepare()
        key = deployment.tenant("bench", "iris")
        contenders = [tutorial(folder, estimator), echo(folder), bare(folder), gatehouse(deployment, key)]
        with served(contenders, on) as running:
            samples = in_turns(running, on, Turns(given.rounds, given.seconds), given.connections)
        print("\n".join(lines_of(comparison_rows(all_figures(samples), samples, "Gatehouse"))))
        print(deployment.check_events())
        deployment.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
