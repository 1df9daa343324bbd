"""Shipped recipes: what is served equals scikit-learn, and no contract gives training data away."""

import io
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest

from gatehouse.serving.recipes import RecipeInvalid, train_recipe

MODELS = Path(__file__).parents[2] / "models"


def _numbers(answer, contract):
    if contract.output.task == "regression":
        return [answer["value"]]
    return [answer["probabilities"][label.name] for label in contract.output.labels]


def _assert_equals_sklearn(answers, recipe):
    """Labels are equal, every number is within one unit of the contract's last decimal."""
    contract, estimator = recipe.contract, recipe.estimator
    unit = 10.0**-contract.output.decimals
    got = np.array([_numbers(answer, contract) for answer in answers])
    if contract.output.task == "regression":
        expected = estimator.predict(recipe.rows)[:, None]
    else:
        order = [estimator.classes_.tolist().index(label.cls) for label in contract.output.labels]
        expected = estimator.predict_proba(recipe.rows)[:, order]
        names = {label.cls: label.name for label in contract.output.labels}
        assert [answer["label"] for answer in answers] == [names[cls] for cls in estimator.predict(recipe.rows).tolist()]
        assert [answer["confidence"] for answer in answers] == got.max(axis=1).tolist()
    assert np.abs(got - np.round(expected, contract.output.decimals)).max() <= unit * 1.0001
    assert np.abs(got - expected).max() < unit


def test_answers_of_all_training_rows_in_one_batch_equal_scikit_learn(recipes, published, endpoint):
    recipe, served = recipes[endpoint], published.registry.get(*endpoint)
    _assert_equals_sklearn(served.predictor.answer(recipe.rows, recipe.contract.output.returns), recipe)


def test_answers_of_all_training_rows_one_by_one_equal_scikit_learn(recipes, published, endpoint):
    recipe, served = recipes[endpoint], published.registry.get(*endpoint)
    single = [
        served.predictor.answer(recipe.rows[place : place + 1], recipe.contract.output.returns)[0] for place in range(len(recipe.rows))
    ]
    _assert_equals_sklearn(single, recipe)


def test_every_recipe_is_served_as_onnx_after_a_parity_proof_over_2000_rows(published, endpoint):
    publication = published.publications[endpoint]
    assert publication.engine == "onnx"
    assert publication.engine_reason is None
    assert publication.parity.passed
    assert publication.parity.rows >= 2000
    assert publication.parity.label_flips == 0
    assert publication.parity.worst_difference <= 1e-5
    assert sorted(path.name for path in publication.folder.iterdir()) == ["contract.toml", "manifest.json", "manifest.sig", "model.onnx"]


def test_no_example_is_a_training_row(recipes, endpoint):
    recipe = recipes[endpoint]
    example = [float(feature.example) for feature in recipe.contract.features]
    assert not (recipe.rows == example).all(axis=1).any()


def test_no_bound_is_an_extreme_of_the_training_data(recipes, endpoint):
    recipe = recipes[endpoint]
    for place, feature in enumerate(recipe.contract.features):
        bounds = {feature.minimum, feature.maximum, feature.exclusive_minimum, feature.exclusive_maximum} - {None}
        # a depth or a share cannot be below zero, whatever the data say
        natural = {0} if feature.name.endswith(("concavity", "concave_points", "concavity_error", "concave_points_error")) else set()
        extremes = {recipe.rows[:, place].min(), recipe.rows[:, place].max()} - natural
        assert not bounds & extremes, feature.name


def test_every_training_row_is_within_the_bounds(recipes, endpoint):
    recipe = recipes[endpoint]
    for place, feature in enumerate(recipe.contract.features):
        column = recipe.rows[:, place]
        assert feature.minimum is None or column.min() >= feature.minimum, feature.name
        assert feature.maximum is None or column.max() <= feature.maximum, feature.name
        assert feature.exclusive_minimum is None or column.min() > feature.exclusive_minimum, feature.name
        assert feature.exclusive_maximum is None or column.max() < feature.exclusive_maximum, feature.name


def test_every_feature_is_described_and_bounded(recipes, endpoint):
    for feature in recipes[endpoint].contract.features:
        assert feature.description, feature.name
        assert feature.minimum is not None or feature.exclusive_minimum is not None, feature.name
        assert feature.maximum is not None or feature.exclusive_maximum is not None, feature.name


def test_the_first_call_of_the_readme_answers_setosa(published):
    answer = published.registry.get("iris", "v1").predictor.answer(np.array([[5.2, 3.6, 1.5, 0.3]]), ("label", "confidence"))
    assert answer == [{"label": "setosa", "confidence": 1.0}]


def test_iris_v2_takes_millimetres_and_names_its_labels(published):
    served = published.registry.get("iris", "v2")
    assert served.manifest.classes == ("setosa", "versicolor", "virginica")
    assert served.predictor.answer(np.array([[52, 36, 15, 3.0]]), ("label",)) == [{"label": "Iris setosa"}]


def test_a_recipe_trains_the_same_model_every_time(recipes):
    again = joblib.load(io.BytesIO(train_recipe(MODELS / "diabetes", "v1")))
    recipe = recipes["diabetes", "v1"]
    assert (again.predict(recipe.rows) == recipe.estimator.predict(recipe.rows)).all()


def test_train_py_writes_a_joblib_file_as_a_command(tmp_path):
    target = tmp_path / "diabetes.joblib"
    subprocess.run([sys.executable, MODELS / "diabetes" / "train.py", target, "--api-version", "v1"], check=True, capture_output=True)
    assert joblib.load(target).n_features_in_ == 10


def test_an_unknown_recipe_or_api_version_is_refused(tmp_path):
    with pytest.raises(RecipeInvalid, match="is missing"):
        train_recipe(tmp_path, "v1")
    with pytest.raises(RecipeInvalid, match="no train\\(\\) for v9"):
        train_recipe(MODELS / "diabetes", "v9")
