"""Whether a breast mass is malignant, from 30 measures of cell nuclei in a fine needle aspirate (Wisconsin diagnostic data, 1995)."""

import argparse
from pathlib import Path
from typing import Any

import joblib
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import GradientBoostingClassifier


def data(api_version: str) -> tuple[Any, Any]:
    """Rows and classes, 0 malignant and 1 benign."""
    return {"v1": load_breast_cancer(return_X_y=True)}[api_version]


def train(api_version: str) -> Any:
    """The fitted estimator of one API version."""
    return GradientBoostingClassifier(random_state=42).fit(*data(api_version))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="the joblib file to write")
    parser.add_argument("--api-version", choices=("v1",), default="v1")
    arguments = parser.parse_args()
    joblib.dump(train(arguments.api_version), arguments.out)


if __name__ == "__main__":
    main()
