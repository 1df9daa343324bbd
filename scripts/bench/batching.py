"""64 concurrent one-row calls of the 100-tree iris forest on the scikit-learn engine against one call at a time, in turns in one run.

Target: at least 12 times the throughput. `python scripts/bench/batching.py [--rounds 15]`
"""

import argparse
import asyncio
import io
import statistics
import sys
import time
from functools import partial
from pathlib import Path

import joblib
import numpy as np

from gatehouse.contracts.contract import parse_contract
from gatehouse.serving.batching import Batching
from gatehouse.serving.engines.sklearn import SklearnEngine
from gatehouse.serving.predictor import Predictor
from gatehouse.serving.recipes import train_recipe
from gatehouse.serving.workers import Workers

IRIS = Path(__file__).parents[2] / "models" / "iris"
CALLERS = 64
TARGET = 12.0
DEADLINE_S = 30.0


async def throughput(batching: Batching, predictor: Predictor, rows: list[np.ndarray], callers: int, calls: int) -> float:
    """Calls a second of so many callers, each of whom sends the next call when the last is answered."""
    outputs = ("label", "confidence", "probabilities")

    async def caller(place: int) -> None:
        for turn in range(calls // callers):
            values = rows[(place + turn * callers) % len(rows)]
            told = partial(predictor.told, outputs=outputs)
            await batching.run(predictor, values, told, lane="iris/v1", deadline_s=DEADLINE_S)

    begun = time.perf_counter()
    await asyncio.gather(*(caller(place) for place in range(callers)))
    return calls / (time.perf_counter() - begun)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    contract = parse_contract((IRIS / "v1.toml").read_bytes(), "v1.toml")
    predictor = Predictor(SklearnEngine(joblib.load(io.BytesIO(train_recipe(IRIS, "v1"))), classifies=True), contract.output)
    predictor.joins = True
    random = np.random.default_rng(1)
    rows = [random.uniform((4, 2, 1, 0.1), (8, 4.5, 7, 2.5), (1, 4)) for _ in range(500)]
    workers = Workers(5, 64)
    batching = Batching(workers)
    measured = []
    for _ in range(rounds):
        alone = asyncio.run(throughput(batching, predictor, rows, 1, 50))
        joined = asyncio.run(throughput(batching, predictor, rows, CALLERS, CALLERS * 20))
        measured.append((alone, joined, joined / alone))
    workers.close()
    one, many, ratio = (statistics.median(column) for column in zip(*measured, strict=True))
    print(f"one call at a time   {one:8,.0f} calls/s   {1e3 / one:6.2f} ms a call")
    print(f"{CALLERS} calls at a time  {many:8,.0f} calls/s   {CALLERS * 1e3 / many:6.2f} ms a call")
    print(f"ratio {ratio:.1f} (lowest of {rounds} rounds {min(each for _, _, each in measured):.1f}; target {TARGET:.0f})")
    return 0 if ratio >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
