"""MLServer with adaptive batching, in a virtual environment of its own, with a model that its own scikit-learn has trained."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from comparison.contenders import ROWS, Contender
from comparison.environments import BASELINES, ROOT, interpreter
from comparison.exchange import Exchange, post
from comparison.process_group import ProcessGroup, free_port

REQUIREMENTS = BASELINES / "mlserver-requirements.txt"
BATCH = {"max_batch_size": 64, "max_batch_time": 0.002}
"""The fastest of those tried with 64 connections: 32 to 128 rows, 1 to 10 ms, and none."""


def inference(values: list[list[float]], output: str = "predict") -> bytes:
    """A body of the protocol that it speaks."""
    flat = [value for row in values for value in row]
    given = {"name": "rows", "shape": [len(values), len(values[0])], "datatype": "FP64", "data": flat}
    return json.dumps({"inputs": [given], "outputs": [{"name": output}]}).encode()


def one_row() -> tuple[Exchange, ...]:
    """The class of each row must be what the forest says."""
    return tuple(
        Exchange(post("/v2/models/iris/infer", inference([list(row)])), 200, ((b'"data":[%d]' % place, 1),), b'"outputs"')
        for place, (row, _) in enumerate(ROWS)
    )


def many_rows(values: list[list[float]]) -> tuple[Exchange, ...]:
    """It answers the probabilities, from which labels follow: no less than Gatehouse and the tutorial service say, and no more."""
    sent = post("/v2/models/breast_cancer/infer", inference(values, "predict_proba"))
    return (Exchange(sent, 200, ((b'"shape":[%d,2]' % len(values), 1),), b'"outputs"'),)


def mlserver(folder: Path, exchanges: tuple[Exchange, ...], name: str = "MLServer") -> Contender:
    """With both models. Raises NotInstalled."""
    python = interpreter("mlserver", REQUIREMENTS)
    home = folder / "mlserver"
    if not home.exists():
        for model in ("iris", "breast_cancer"):
            write_model(python, home / model, model)

    def start(cores: set[int]) -> ProcessGroup:
        port, grpc, metrics = free_port(), free_port(), free_port()
        settings = {"host": "127.0.0.1", "debug": False, "parallel_workers": 0, "use_structured_logging": False}
        write_json(home / "settings.json", settings | {"http_port": port, "grpc_port": grpc, "metrics_port": metrics})
        words = [str(python.with_name("mlserver")), "start", str(home)]
        return ProcessGroup(words, {**os.environ, "PYTHONWARNINGS": "ignore"}, home, port, cores)

    return Contender(name, start, "/v2/health/ready", exchanges)


def write_model(python: Path, folder: Path, model: str) -> None:
    """Trained by the recipe of the repository with the library that loads it."""
    folder.mkdir(parents=True)
    subprocess.run([str(python), str(ROOT / "models" / model / "train.py"), str(folder / "model.joblib")], check=True)
    parameters = {"uri": "./model.joblib", "version": "v1"}
    write_json(
        folder / "model-settings.json",
        {"name": model, "implementation": "mlserver_sklearn.SKLearnModel", "parameters": parameters, **BATCH},
    )


def write_json(file: Path, value: dict[str, Any]) -> None:
    file.write_text(json.dumps(value), encoding="utf-8")
