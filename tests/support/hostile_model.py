"""A model whose contract says whatever breaks Markdown, shells and programs that are made by putting texts together."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from line_versions import write_version
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder
from stage import ACTOR, Stage

from gatehouse.migration.store import create_endpoint
from gatehouse.serving.manifest import GoldenRow

HOSTILE = 'it\'s "quoted" \\ `code` ``` ${id} $(touch pwned) %s {0} </script> | *x* [a](b) é \u202e 😀'
UNIT = "`|<b>$(touch pwned)'\" {x}"
NAMES = ("__proto__", "weight (kg) 100%", "note")
ROW = {"__proto__": HOSTILE, "weight (kg) 100%": 2.5, "note": HOSTILE}


def _toml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


CONTRACT = f"""
format = 1
model = "hostile"
api_version = "v1"
[features.__proto__]
type = "category"
allowed = [{_toml(HOSTILE)}, "other"]
description = {_toml(HOSTILE)}
example = {_toml(HOSTILE)}
[features.{_toml(NAMES[1])}]
type = "number"
unit = {_toml(UNIT)}
minimum = 0
exclusive_maximum = 10
example = 2.5
[features.note]
type = "text"
max_length = 200
nullable = true
required = false
example = {_toml(HOSTILE)}
[output]
task = "regression"
unit = {_toml(UNIT)}
decimals = 1
"""


def estimator() -> Any:
    """Answers ten times the weight."""
    columns = ColumnTransformer([("kind", OneHotEncoder(handle_unknown="ignore"), [0]), ("weight", "passthrough", [1])])
    rows = np.array([[(HOSTILE, "other")[n % 2], n / 4, "x"] for n in range(40)], dtype=object)
    return Pipeline([("columns", columns), ("model", LinearRegression())]).fit(rows, [n * 2.5 for n in range(40)])


def publish_hostile(published: Path, stage: Stage) -> None:
    """Writes `hostile 1.0.0` and opens its endpoint."""
    write_version(published, stage, "hostile", "1.0.0", estimator(), CONTRACT, GoldenRow((HOSTILE, 2.5, HOSTILE), (25.0,)))
    with stage.database.write() as session:
        create_endpoint(session, ACTOR, "hostile", "1.0.0")
