"""Memory of loaded forests, by engine: resident bytes of a fresh process before and after it loads one, and for each of 20 more.

`python scripts/bench/memory.py [--trees 100 300] [--more 20]`; Linux only, since it reads /proc.
"""

import argparse
import gc
import io
import subprocess
import sys
import tempfile
from pathlib import Path

import joblib
import numpy as np
from sklearn.ensemble import RandomForestClassifier

from gatehouse.serving.convert import convert
from gatehouse.serving.engine import Engine
from gatehouse.serving.engines.onnx import OnnxEngine
from gatehouse.serving.engines.sklearn import SklearnEngine, load_estimator
from gatehouse.serving.registry import MEMORY_EACH, MEMORY_FACTOR

ROWS, FEATURES, CLASSES = 1_000, 8, (0, 1)
PAGE = 4096


def forest(trees: int) -> bytes:
    """A fitted forest as joblib writes it."""
    random = np.random.default_rng(1)
    rows = random.normal(size=(ROWS, FEATURES))
    fitted = RandomForestClassifier(trees, random_state=1).fit(rows, (rows[:, 0] + random.normal(size=ROWS) > 0).astype(int))
    target = io.BytesIO()
    joblib.dump(fitted, target)
    return target.getvalue()


def resident() -> int:
    """Bytes of this process in memory now."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def loaded(engine: str, file: Path) -> Engine:
    """Built and warmed up by one row, as the registry does it; the file's bytes are let go."""
    content = file.read_bytes()
    built: Engine = OnnxEngine(content, FEATURES, CLASSES) if engine == "onnx" else SklearnEngine(load_estimator(content), classifies=True)
    built.score(np.zeros((1, FEATURES)))
    return built


def measure(engine: str, file: Path, more: int) -> None:
    """In a fresh process: print the bytes of the first one, then the mean of the others."""
    before = resident()
    kept = [loaded(engine, file)]
    first = resident()
    kept += [loaded(engine, file) for _ in range(more)]
    print(first - before, (resident() - first) // more)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trees", type=int, nargs="+", default=[100, 300])
    parser.add_argument("--more", type=int, default=20)
    parser.add_argument("--measure", nargs=2, metavar=("ENGINE", "FILE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        measure(given.measure[0], Path(given.measure[1]), given.more)
        return
    with tempfile.TemporaryDirectory() as folder:
        for trees in given.trees:
            artifact = forest(trees)
            for engine, content in (("onnx", convert(artifact, "n" * FEATURES)), ("sklearn", artifact)):
                file = Path(folder) / engine
                file.write_bytes(content)
                command = [sys.executable, __file__, "--more", str(given.more), "--measure", engine, str(file)]
                first, each = map(int, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
                reckoned = MEMORY_EACH + MEMORY_FACTOR[engine] * len(content)
                print(
                    f"{trees:>4} trees, {engine:7}: artifact {len(content) / 2**20:5.2f} MiB   first {first / 2**20:6.1f} MiB"
                    f"   each further {each / 2**20:5.2f} MiB ({each / len(content):.1f} times)   reckoned {reckoned / 2**20:5.2f} MiB"
                )


if __name__ == "__main__":
    main()
