"""The tutorial service for a model with 30 fields, extended to take many rows, as records or as columns."""

import os
from typing import Any

import joblib
from fastapi import FastAPI
from pydantic import BaseModel, create_model

FEATURES = os.environ["BENCH_FEATURES"].split(",")
LABELS = os.environ["BENCH_LABELS"].split(",")

app = FastAPI()
model = joblib.load(os.environ["BENCH_ESTIMATOR"])
Row: Any = create_model("Row", **dict.fromkeys(FEATURES, (float, ...)))


class Records(BaseModel):
    instances: list[Row]


class Columns(BaseModel):
    columns: list[str]
    data: list[list[float]]


class Prediction(BaseModel):
    label: str
    probabilities: dict[str, float]


class Predictions(BaseModel):
    predictions: list[Prediction]


def scored(rows: list[list[float]]) -> Predictions:
    probabilities = model.predict_proba(rows)
    return Predictions(
        predictions=[Prediction(label=LABELS[row.argmax()], probabilities=dict(zip(LABELS, row, strict=True))) for row in probabilities]
    )


@app.post("/predict")
def predict(body: Records) -> Predictions:
    return scored([[getattr(row, name) for name in FEATURES] for row in body.instances])


@app.post("/predict-columns")
def predict_columns(body: Columns) -> Predictions:
    order = [body.columns.index(name) for name in FEATURES]
    return scored([[row[place] for place in order] for row in body.data])
