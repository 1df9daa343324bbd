"""Whether rows stand alone: a model that looks at other rows never gets those of several callers."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler, minmax_scale

from gatehouse.serving.engines.sklearn import SklearnEngine
from gatehouse.serving.independence import rows_stand_alone
from gatehouse.serving.predictor import Predictor

ROWS = np.random.default_rng(2).normal(size=(30, 3))
VALUES = ROWS @ [1.0, -2.0, 3.0]
REGRESSION = SimpleNamespace(task="regression", labels=(), returns=("value",), decimals=3, top_k=None)
CLASSES = SimpleNamespace(
    task="classification", returns=("label",), decimals=3, top_k=None, labels=[SimpleNamespace(cls=cls, name=str(cls)) for cls in (0, 1)]
)


def regressor(estimator: Any) -> Predictor:
    return Predictor(SklearnEngine(estimator, classifies=False), REGRESSION)


def test_rows_of_ordinary_models_stand_alone() -> None:
    forest = RandomForestClassifier(10, random_state=1).fit(ROWS, (VALUES > 0).astype(int))
    assert rows_stand_alone(Predictor(SklearnEngine(forest, classifies=True), CLASSES), ROWS)
    assert rows_stand_alone(regressor(make_pipeline(StandardScaler(), LinearRegression()).fit(ROWS, VALUES)), ROWS)


LOOKS_AROUND = {
    "scale": minmax_scale,
    "mean": lambda rows: rows - rows.mean(axis=0),
    "sort": lambda rows: np.sort(rows, axis=0),
    "order": lambda rows: rows[::-1],
}


@pytest.mark.parametrize("name", LOOKS_AROUND)
def test_a_model_that_looks_at_the_other_rows_of_a_call_is_found(name: str) -> None:
    estimator = make_pipeline(FunctionTransformer(LOOKS_AROUND[name]), LinearRegression()).fit(ROWS, VALUES)
    assert not rows_stand_alone(regressor(estimator), ROWS)


def test_rows_that_stand_in_order_do_not_hide_a_model_that_puts_them_in_order() -> None:
    estimator = make_pipeline(FunctionTransformer(LOOKS_AROUND["sort"]), LinearRegression()).fit(ROWS, VALUES)
    assert not rows_stand_alone(regressor(estimator), np.sort(ROWS, axis=0))


def test_rows_that_cannot_be_answered_are_left_out_and_without_two_others_nothing_is_joined() -> None:
    predictor = regressor(LinearRegression().fit(ROWS, VALUES))
    bad = np.full((1, 3), np.nan)
    assert rows_stand_alone(predictor, np.concatenate([bad, ROWS[:3], bad]))
    assert not rows_stand_alone(predictor, np.concatenate([bad, ROWS[:1], bad]))
