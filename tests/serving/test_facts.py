"""What an estimator tells of itself, for every family that can be published."""

import io
from collections.abc import Callable
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor, RegressorChain
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder
from sklearn.svm import LinearSVC

from gatehouse.serving.engine import EngineUnusable
from gatehouse.serving.facts import EstimatorFacts, estimator_facts, facts_of

ROWS = np.random.default_rng(3).random((40, 3))
ONE = ROWS.sum(axis=1)
TWO = np.c_[ONE, ROWS[:, 0]]
CLASSES = np.greater(TWO, np.median(TWO, axis=0)).astype(int)


def refuse_zeros(rows: Any) -> Any:
    if not np.any(rows):
        raise ValueError("a row of zeros")
    return rows


def facts(estimator: Any) -> EstimatorFacts:
    target = io.BytesIO()
    joblib.dump(estimator, target)
    return estimator_facts(target.getvalue())


@pytest.mark.parametrize(
    ("make", "outputs"),
    [
        (lambda: LinearRegression().fit(ROWS, ONE), 1),
        (lambda: LinearRegression().fit(ROWS, ONE.reshape(-1, 1)), 1),
        (lambda: LinearRegression().fit(ROWS, TWO), 2),
        (lambda: RandomForestRegressor(2).fit(ROWS, TWO), 2),
        (lambda: MultiOutputRegressor(Ridge()).fit(ROWS, TWO), 2),
        (lambda: RegressorChain(Ridge()).fit(ROWS, TWO), 2),
        (lambda: make_pipeline(SimpleImputer(), TransformedTargetRegressor(LinearRegression())).fit(ROWS, TWO), 2),
    ],
)
def test_a_regressor_tells_how_many_values_it_answers(make: Callable[[], Any], outputs: int) -> None:
    assert facts(make()) == EstimatorFacts(3, None, False, outputs, (), False)


@pytest.mark.parametrize("last", [LinearRegression(), RandomForestRegressor(2), MultiOutputRegressor(Ridge()), RegressorChain(Ridge())])
def test_a_regressor_that_refuses_a_row_of_zeros_is_asked_by_its_last_step(last: Any) -> None:
    assert facts_of(make_pipeline(FunctionTransformer(refuse_zeros), last).fit(ROWS, TWO)).outputs == 2


def test_a_classifier_tells_its_classes_for_each_output() -> None:
    one = facts(LogisticRegression().fit(ROWS, np.where(CLASSES[:, 0], "yes", "no")))
    assert (one.classes, one.outputs, one.has_probabilities) == ((("no", "yes"),), 1, True)
    for estimator in (RandomForestClassifier(2), MultiOutputClassifier(LogisticRegression())):
        several = facts(estimator.fit(ROWS, CLASSES))
        assert (several.classes, several.outputs) == (((0, 1), (0, 1)), 2)
    assert not facts(LinearSVC().fit(ROWS, CLASSES[:, 0])).has_probabilities


def test_names_of_columns_are_told_where_the_estimator_knows_them() -> None:
    estimator = LinearRegression().fit(ROWS, ONE)
    estimator.feature_names_in_ = np.array(["a", "b", "c"], dtype=object)
    assert facts(estimator).names == ("a", "b", "c")


def test_a_text_model_takes_one_text() -> None:
    told = facts(make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(["one two", "three", "two"], ["a", "b", "a"]))
    assert (told.features, told.takes_text) == (1, True)


@pytest.mark.parametrize(
    ("thing", "said"),
    [
        ({"no": "estimator"}, "holds no estimator with a predict method, but a dict: save the fitted estimator or pipeline itself$"),
        ({"rows": 5, "model": LinearRegression()}, 'but a dict with one inside: save its member "model" alone$'),
        (5, "but an int: save"),
        (LinearRegression(), "is not fitted"),
    ],
)
def test_what_is_no_fitted_estimator_is_refused(thing: Any, said: str) -> None:
    with pytest.raises(EngineUnusable, match=said):
        facts_of(thing)


def test_texts_that_encoders_know_are_told_wherever_they_stand() -> None:
    rows = np.array([[1.0, "true", "007"], [2.0, "false", None]] * 5, dtype=object)
    columns = ColumnTransformer([("one", OneHotEncoder(), [1]), ("two", make_pipeline(OrdinalEncoder()), [2])])
    assert facts_of(make_pipeline(columns, LogisticRegression()).fit(rows, ["a", "b"] * 5)).texts == ("007", "false", "true")
