"""The usual tutorial service: FastAPI, a pydantic model, scikit-learn in a `def` route. No security, no limits, no metering."""

import os

import joblib
from fastapi import FastAPI
from pydantic import BaseModel

SPECIES = ("setosa", "versicolor", "virginica")

app = FastAPI()
model = joblib.load(os.environ["BENCH_ESTIMATOR"])


class Iris(BaseModel):
    sepal_length: float
    sepal_width: float
    petal_length: float
    petal_width: float


class Prediction(BaseModel):
    label: str
    probabilities: dict[str, float]


@app.post("/predict")
def predict(row: Iris) -> Prediction:
    probabilities = model.predict_proba([[row.sepal_length, row.sepal_width, row.petal_length, row.petal_width]])[0]
    label = SPECIES[probabilities.argmax()]
    return Prediction(label=label, probabilities=dict(zip(SPECIES, probabilities, strict=True)))
