"""One row of the 100-tree iris forest: ONNX against scikit-learn, in turns in one run. Target: at most 1/300 of scikit-learn's time.

`python scripts/bench/engines.py [--rounds 20]`
"""

import argparse
import io
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import joblib
import numpy as np

from gatehouse.serving.convert import convert
from gatehouse.serving.engine import Engine, Values
from gatehouse.serving.engines.onnx import OnnxEngine
from gatehouse.serving.engines.sklearn import SklearnEngine
from gatehouse.serving.recipes import train_recipe

IRIS = Path(__file__).parents[2] / "models" / "iris"


def seconds(work: Callable[[], object], times: int) -> float:
    """Mean seconds of one call."""
    start = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - start) / times


def compare(fast: Engine, slow: Engine, direct: Callable[[Values], object], values: Values, rounds: int) -> None:
    """Print the median of each and of their ratio round by round."""
    per_round = [
        (
            seconds(lambda: fast.score(values), 2000 // len(values) or 1),
            seconds(lambda: slow.score(values), 10),
            seconds(lambda: direct(values), 10),
        )
        for _ in range(rounds)
    ]
    onnx, engine, plain = (statistics.median(column) * 1e6 for column in zip(*per_round, strict=True))
    ratio = statistics.median(third / first for first, _, third in per_round)
    print(f"{len(values):>6,} rows: onnx {onnx:9.1f} µs   sklearn engine {engine:9.1f} µs   predict_proba {plain:9.1f} µs   1/{ratio:.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    artifact = train_recipe(IRIS, "v1")
    estimator = joblib.load(io.BytesIO(artifact))
    fast = OnnxEngine(convert(artifact, "nnnn"), 4, (0, 1, 2))
    slow = SklearnEngine(joblib.load(io.BytesIO(artifact)), classifies=True)
    row = np.array([[5.2, 3.6, 1.5, 0.3]])
    for rows in (1, 64, 1000):
        compare(fast, slow, estimator.predict_proba, np.repeat(row, rows, axis=0), rounds)


if __name__ == "__main__":
    main()
