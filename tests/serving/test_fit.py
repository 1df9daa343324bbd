"""What does not fit its contract is refused in one line that names the remedy; what fits is a text model, too."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from gatehouse.contracts.contract import parse_contract
from gatehouse.serving.fit import PublishRefused, check_fit
from gatehouse.serving.reference import ask_reference

ROWS = np.random.default_rng(9).uniform(-4, 4, (60, 2))
SIDE = (ROWS[:, 0] > 0).astype(int)
ZONE = np.digitize(ROWS[:, 1], [-1.0, 1.0])
HEAD = """
format = 1
model = "pair"
api_version = "v1"
[features.width]
type = "number"
example = 0.5
[features.height]
type = "number"
example = -1.5
"""
SINGLE = HEAD + '[output]\ntask = "regression"\n'
SEVERAL = HEAD + '[output]\ntask = "multioutput"\n'
VALUED = SEVERAL + '[output.targets.rent]\ntask = "regression"\n[output.targets.noise]\ntask = "regression"\n'
SIDE_TOML = '[output.targets.side]\ntask = "classification"\nlabels = [{class = 0, name = "left"}, {class = 1, name = "right"}]\n'
ZONE_TOML = (
    '[output.targets.zone]\ntask = "classification"\n'
    'labels = [{class = 0, name = "low"}, {class = 1, name = "mid"}, {class = 2, name = "high"}]\n'
)
LABELLED = SEVERAL + SIDE_TOML + ZONE_TOML
BOTH = np.c_[SIDE, ZONE]


def values(count: int) -> Callable[[], Any]:
    return lambda: LinearRegression().fit(ROWS, np.repeat(ROWS[:, :1], count, axis=1))


def labels(table: Any = BOTH, one: Any = LogisticRegression) -> Callable[[], Any]:
    return lambda: MultiOutputClassifier(one()).fit(ROWS, table)


REFUSED: dict[str, tuple[Callable[[], Any], str, str]] = {
    "three values, two targets": (
        values(3),
        VALUED,
        "answers 3 values a row, the contract has 2 targets: list exactly those 3, in its order",
    ),
    "two values, one output": (values(2), SINGLE, 'give the contract task = "multioutput" and 2 targets, which gatehouse contracts draft'),
    "one value, two targets": (values(1), VALUED, 'answers one value a row: set task = "regression" in the contract, without targets'),
    "one label, two targets": (
        lambda: LogisticRegression().fit(ROWS, SIDE),
        LABELLED,
        'answers one value a row: set task = "classification" in the contract, without targets',
    ),
    "targets swapped": (labels(), SEVERAL + ZONE_TOML + SIDE_TOML, "target 'zone': the estimator's classes are 0, 1: give each of them"),
    "a class too few": (
        labels(),
        LABELLED.replace(', {class = 2, name = "high"}', ""),
        "target 'zone': the estimator's classes are 0, 1, 2: give each of them, and nothing else, a name",
    ),
    "a class too many": (labels(np.c_[SIDE, SIDE]), LABELLED, "target 'zone': the estimator's classes are 0, 1: give each of them"),
    "values as labels": (values(2), LABELLED, "target 'side': the estimator has no classes: set task = \"regression\""),
    "labels as values": (labels(), VALUED, "target 'rent': the estimator is a classifier: set task = \"classification\" and its labels"),
    "one value among labels": (
        labels(),
        SEVERAL + SIDE_TOML + '[output.targets.zone]\ntask = "regression"\n',
        "target 'zone': the estimator is a classifier: set task = \"classification\"",
    ),
    "no probabilities": (labels(one=LinearSVC), LABELLED, "target 'side': the estimator has no predict_proba: return only \"label\""),
}


def contract_of(toml: str) -> Any:
    return parse_contract(toml.encode(), "test")


@pytest.mark.parametrize("case", REFUSED)
def test_targets_that_are_not_the_estimators_are_refused_with_the_remedy(case: str) -> None:
    make, toml, message = REFUSED[case]
    with pytest.raises(PublishRefused) as refused:
        check_fit(make(), contract_of(toml))
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("make", "toml"), [(values(2), VALUED), (labels(), LABELLED), (values(1), SINGLE)])
def test_what_fits_passes_without_a_note(make: Callable[[], Any], toml: str) -> None:
    assert check_fit(make(), contract_of(toml)) == []


def test_several_labels_at_once_under_one_list_of_classes_are_refused() -> None:
    """Of these the estimator tells no classes for each target."""
    contract = contract_of(HEAD + '[output]\ntask = "classification"\nlabels = [{class = 0, name = "a"}, {class = 1, name = "b"}]\n')
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator = MLPClassifier((3,), max_iter=5).fit(ROWS, np.c_[SIDE, 1 - SIDE])
    check_fit(estimator, contract)
    with pytest.raises(PublishRefused, match="more than one label out of a list of classes: wrap it in MultiOutputClassifier"):
        ask_reference(estimator, ROWS, contract)


TEXTS = ["cheap pills now", "meeting at noon", "cheap cheap offer", "lunch at noon", "offer of pills", "notes of the meeting"]
SPAM = [1, 0, 1, 0, 1, 0]
TEXT_TOML = """
format = 1
model = "pair"
api_version = "v1"
[features.message]
type = "text"
max_length = 200
example = "hello there"
[output]
task = "classification"
labels = [{class = 0, name = "ham"}, {class = 1, name = "spam"}]
"""


def text_model() -> Any:
    return make_pipeline(TfidfVectorizer(strip_accents="unicode"), LogisticRegression())  # which no graph does


def test_a_text_model_is_published_and_answers_as_scikit_learn(publish_pair: Any, workshop: Any) -> None:
    estimator = text_model().fit(TEXTS, SPAM)
    assert publish_pair(estimator, TEXT_TOML).engine == "sklearn"
    predictor = workshop.registry().load("pair", "v1", "1.0.0").predictor
    assert predictor.joins
    texts = [*TEXTS, "", "Ünïcödé pills", "x" * 200]
    told = predictor.answer(np.array([[text] for text in texts], dtype=object), ("label", "probabilities"))
    assert [each["label"] for each in told] == [("ham", "spam")[cls] for cls in estimator.predict(texts)]
    assert np.allclose([each["probabilities"]["spam"] for each in told], estimator.predict_proba(texts)[:, 1], atol=1e-4)


def test_a_text_model_may_answer_values(publish_pair: Any, workshop: Any) -> None:
    estimator = make_pipeline(TfidfVectorizer(), Ridge()).fit(TEXTS, [1.5, 2, 3, 4, 5, 6.0])
    publish_pair(estimator, TEXT_TOML.partition("[output]")[0] + '[output]\ntask = "regression"\n')
    told = workshop.registry().load("pair", "v1", "1.0.0").predictor.answer(np.array([[text] for text in TEXTS], dtype=object), ("value",))
    assert [each["value"] for each in told] == [round(value, 4) for value in estimator.predict(TEXTS)]


def test_a_text_model_needs_exactly_one_text() -> None:
    estimator = text_model().fit(TEXTS, SPAM)
    for toml in (TEXT_TOML.replace('type = "text"\nmax_length = 200\nexample = "hello there"', 'type = "number"\nexample = 1'),
                 TEXT_TOML.replace("[output]", '[features.other]\ntype = "text"\nexample = "x"\n[output]')):  # fmt: skip
        with pytest.raises(PublishRefused, match='takes one text a row: give the contract exactly one feature, of type = "text"'):
            check_fit(estimator, contract_of(toml))


def test_a_text_model_that_was_not_fitted_is_refused(publish_pair: Any) -> None:
    regression = TEXT_TOML.partition("[output]")[0] + '[output]\ntask = "regression"\n'
    with pytest.raises(PublishRefused, match="is not fitted: call fit"):
        publish_pair(make_pipeline(TfidfVectorizer(), Ridge()), regression)
