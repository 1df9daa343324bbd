"""Bodies of many rows with 30 fields, in both shapes, and who answers them."""

import json
from typing import Literal

from comparison.contenders import Contender, uvicorn_app
from comparison.deployment import Deployment
from comparison.exchange import Exchange, post
from comparison.workbench import Workbench

Shape = Literal["records", "columns"]
PREDICT = "/v1/models/breast_cancer/predict"


def body(bench: Workbench, rows: int, shape: Shape) -> bytes:
    names, values = bench.cells.names, bench.cells.rows(rows)
    if shape == "records":
        return json.dumps({"instances": [dict(zip(names, row, strict=True)) for row in values]}).encode()
    return json.dumps({"columns": names, "data": values}).encode()


def exchanges(bench: Workbench, rows: int, shape: Shape, key: str | None = None) -> tuple[Exchange, ...]:
    """For Gatehouse with a key, else for the tutorial service; each answer must name every label as often as the model does."""
    if key:
        sent = post(PREDICT, body(bench, rows, shape), x_api_key=key)
    else:
        sent = post("/predict" if shape == "records" else "/predict-columns", body(bench, rows, shape))
    return (Exchange(sent, 200, bench.cells.holds(bench.cells.rows(rows)), b'"predictions"'),)


def tutorial_many(bench: Workbench) -> Contender:
    """The tutorial service, extended to take many rows."""
    environment = {
        "BENCH_ESTIMATOR": str(bench.boosting),
        "BENCH_FEATURES": ",".join(bench.cells.names),
        "BENCH_LABELS": ",".join(bench.cells.labels),
    }
    return Contender("tutorial", lambda cores: uvicorn_app("tutorial_many", cores, bench.folder, **environment), "/docs", ())


def gatehouse_many(deployment: Deployment) -> Contender:
    return Contender("Gatehouse", deployment.serve, "/health/ready", (), deployment.settle)
