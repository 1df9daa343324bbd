"""The usual tutorial service under Flask."""

import os
from typing import Any

import joblib
from flask import Flask, jsonify, request

SPECIES = ("setosa", "versicolor", "virginica")
FEATURES = ("sepal_length", "sepal_width", "petal_length", "petal_width")

app = Flask(__name__)
model = joblib.load(os.environ["BENCH_ESTIMATOR"])


@app.post("/predict")
def predict() -> Any:
    row = request.get_json()
    probabilities = model.predict_proba([[float(row[name]) for name in FEATURES]])[0]
    return jsonify(label=SPECIES[probabilities.argmax()], probabilities=dict(zip(SPECIES, probabilities, strict=True)))
