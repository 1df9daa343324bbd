"""The servers that are compared, each with how it is started and asked for one row."""

import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from comparison.deployment import Deployment
from comparison.exchange import Exchange, post
from comparison.load import Settle
from comparison.process_group import ProcessGroup, free_port

BASELINES = Path(__file__).parent / "baselines"
FEATURES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
ROWS = (((5.2, 3.6, 1.5, 0.3), "setosa"), ((6.0, 2.7, 4.5, 1.4), "versicolor"), ((6.7, 3.1, 5.6, 2.3), "virginica"))
"""What the forest says of each; every answer is held against it."""


def at_once(statuses: Counter[int], cut_off: int = 0) -> None:
    """Nothing is left to be done."""


@dataclass(frozen=True, slots=True)
class Contender:
    """`start` is given the cores; `settle` waits for what answers left to be done."""

    name: str
    start: Callable[[set[int]], ProcessGroup]
    ready_path: str
    exchanges: tuple[Exchange, ...]
    settle: Settle = at_once
    freezes: bool = True
    """Whether it stands still while others are measured; a process that others wait for would seem to have gone."""


def labelled(path: str, anchor: bytes, body: Callable[[dict[str, float]], object], **fields: str) -> tuple[Exchange, ...]:
    """One row a call, three rows in turn; each answer must name its row's label."""
    return tuple(
        Exchange(
            post(path, json.dumps(body(dict(zip(FEATURES, row, strict=True)))).encode(), **fields),
            200,
            ((b'"label":"%s"' % label.encode(), 1),),
            anchor,
        )
        for row, label in ROWS
    )


def uvicorn_app(name: str, cores: set[int], folder: Path, **environment: str) -> ProcessGroup:
    """A baseline under uvicorn as Gatehouse uses it, and without its access log."""
    port = free_port()
    words = [sys.executable, "-m", "uvicorn", f"{name}:app", "--app-dir", str(BASELINES), "--port", str(port)]
    words += ["--no-access-log", "--log-level", "warning"]
    return ProcessGroup(words, {**os.environ, **environment}, folder, port, cores)


def tutorial(folder: Path, estimator: Path) -> Contender:
    exchanges = labelled("/predict", b'{"label"', lambda row: row)
    return Contender("tutorial", lambda cores: uvicorn_app("tutorial", cores, folder, BENCH_ESTIMATOR=str(estimator)), "/docs", exchanges)


def flask(folder: Path, estimator: Path, packages: Path) -> Contender:
    """gunicorn as it comes, but for its time-out: one worker that takes one connection after the other."""

    def start(cores: set[int]) -> ProcessGroup:
        port = free_port()
        words = [
            sys.executable,
            "-m",
            "gunicorn",
            "--chdir",
            str(BASELINES),
            "--log-level",
            "warning",
            "--timeout",  # 0 is none: a worker that was frozen for longer would be taken for one that hangs
            "0",
            "--bind",
            f"127.0.0.1:{port}",
            "flask_tutorial:app",
        ]
        environment = {**os.environ, "PYTHONPATH": str(packages), "BENCH_ESTIMATOR": str(estimator)}
        return ProcessGroup(words, environment, folder, port, cores)

    return Contender("Flask and gunicorn", start, "/", labelled("/predict", b"{", lambda row: row))


def echo(folder: Path) -> Contender:
    """Its answer is what was sent."""
    exchanges = tuple(
        Exchange(post("/predict", json.dumps(body).encode()), 200, ((json.dumps(body, separators=(",", ":")).encode(), 1),), b"{")
        for body in (dict(zip(FEATURES, row, strict=True)) for row, _ in ROWS)
    )
    return Contender("FastAPI echo", lambda cores: uvicorn_app("echo", cores, folder), "/docs", exchanges)


def bare(folder: Path) -> Contender:
    exchanges = tuple(
        Exchange(post("/predict", json.dumps(dict(zip(FEATURES, row, strict=True))).encode()), 200, ((b'"label":"setosa"', 1),), b"{")
        for row, _ in ROWS
    )
    return Contender("bare ASGI", lambda cores: uvicorn_app("bare", cores, folder), "/", exchanges)


def gatehouse(deployment: Deployment, key: str, name: str = "Gatehouse", model: str = "iris") -> Contender:
    """With all that it does: drain, summaries, limits, quota, headers, metrics."""
    exchanges = labelled(f"/v1/models/{model}/predict", b'"predictions"', lambda row: {"instances": [row]}, x_api_key=key)
    return Contender(name, deployment.serve, "/health/ready", exchanges, deployment.settle)
