"""Iris species from four lengths of the flower (Fisher, 1936). v1 takes centimetres, v2 millimetres and calibrates its probabilities."""

import argparse
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedKFold

SPECIES = np.array(["setosa", "versicolor", "virginica"])


def data(api_version: str) -> tuple[Any, Any]:
    """Rows in the contract's units, and classes as the contract names them."""
    lengths, species = load_iris(return_X_y=True)
    return {"v1": (lengths, species), "v2": (np.round(lengths * 10), SPECIES[species])}[api_version]


def train(api_version: str) -> Any:
    """The fitted estimator of one API version."""
    rows, classes = data(api_version)
    if api_version == "v1":
        return RandomForestClassifier(n_estimators=100, random_state=42, n_jobs=1).fit(rows, classes)
    forest = RandomForestClassifier(n_estimators=50, random_state=42, n_jobs=1)
    folds = StratifiedKFold(5, shuffle=True, random_state=42)
    return CalibratedClassifierCV(forest, method="sigmoid", cv=folds, n_jobs=1).fit(rows, classes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="the joblib file to write")
    parser.add_argument("--api-version", choices=("v1", "v2"), default="v1")
    arguments = parser.parse_args()
    joblib.dump(train(arguments.api_version), arguments.out)


if __name__ == "__main__":
    main()
