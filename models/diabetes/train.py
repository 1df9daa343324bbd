"""How far diabetes has progressed after one year, from ten measures taken at its start (Efron and others, 2004)."""

import argparse
from pathlib import Path
from typing import Any

import joblib
from sklearn.datasets import load_diabetes
from sklearn.ensemble import GradientBoostingRegressor


def data(api_version: str) -> tuple[Any, Any]:
    """Rows in the units in which they were measured, and the progression (25 is little, 350 is much)."""
    return {"v1": load_diabetes(scaled=False, return_X_y=True)}[api_version]


def train(api_version: str) -> Any:
    """The fitted estimator of one API version."""
    return GradientBoostingRegressor(n_estimators=120, max_depth=2, learning_rate=0.05, random_state=42).fit(*data(api_version))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="the joblib file to write")
    parser.add_argument("--api-version", choices=("v1",), default="v1")
    arguments = parser.parse_args()
    joblib.dump(train(arguments.api_version), arguments.out)


if __name__ == "__main__":
    main()
