"""The label is scikit-learn's own one, also where it is not the most probable class, ties included."""

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC, LinearSVC

from gatehouse.contracts.draft import Answer, draft
from gatehouse.contracts.inference import unseen_column
from gatehouse.serving import engine_choice
from gatehouse.serving.convert import NotConvertible
from gatehouse.serving.engines.sklearn import SklearnEngine
from gatehouse.serving.facts import facts_of
from gatehouse.serving.options import PublishOptions
from gatehouse.serving.publish import PublishRefused

RANDOM = np.random.default_rng(31)
ROWS = RANDOM.uniform(-4, 4, (80, 2))
CLASSES = (ROWS[:, 0] + RANDOM.normal(scale=2, size=80) > 0).astype(int)
PROBES = RANDOM.uniform(-4, 4, (200, 2))
ACCEPTED = PublishOptions(accept_embedded_data=True)


@pytest.fixture(autouse=True)
def unconverted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Publishing without the seconds of a conversion."""

    def refuse(_artifact: bytes, **_rest: Any) -> bytes:
        raise NotConvertible("not tried in this test")

    monkeypatch.setattr(engine_choice, "convert", refuse)


def served(workshop: Any) -> Any:
    return workshop.registry().load("pair", "v1", "1.0.0")


def assert_as_scikit_learn(workshop: Any, estimator: Any, rows: Any) -> None:
    answers = served(workshop).predictor.answer(rows, ("label", "confidence", "probabilities"))
    assert [answer["label"] for answer in answers] == [("low", "high")[cls] for cls in estimator.predict(rows)]
    wanted = estimator.predict_proba(rows)
    told = np.array([[answer["probabilities"]["low"], answer["probabilities"]["high"]] for answer in answers])
    assert np.abs(told - wanted).max() <= 1e-4
    assert all(answer["confidence"] == answer["probabilities"][answer["label"]] for answer in answers)


def test_an_svc_answers_its_own_label_and_its_own_probabilities(publish_pair: Any, workshop: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # newer versions want it wrapped
        estimator = SVC(probability=True, random_state=0).fit(ROWS, CLASSES)
    differ = estimator.predict(PROBES) != estimator.classes_[estimator.predict_proba(PROBES).argmax(axis=1)]
    assert differ.any(), "the probes must show what this test is about"
    publication = publish_pair(estimator, options=ACCEPTED)
    assert publication.engine == "sklearn"
    assert publication.engine_reason == "the estimator's label is not always its most probable class"
    assert served(workshop).manifest.own_labels
    assert_as_scikit_learn(workshop, estimator, PROBES)
    assert_as_scikit_learn(workshop, estimator, PROBES[differ][:1])


def test_a_threshold_of_its_own_decides_the_label(publish_pair: Any, workshop: Any) -> None:
    estimator = FixedThresholdClassifier(LogisticRegression(), threshold=0.8).fit(ROWS, CLASSES)
    publish_pair(make_pipeline(StandardScaler(), estimator).fit(ROWS, CLASSES))
    assert served(workshop).manifest.own_labels
    assert_as_scikit_learn(workshop, make_pipeline(StandardScaler(), estimator).fit(ROWS, CLASSES), PROBES)


class Second(ClassifierMixin, BaseEstimator):
    """In a tie it takes its second class."""

    def fit(self, rows: Any, classes: Any) -> "Second":
        self.classes_, self.n_features_in_ = np.unique(classes), rows.shape[1]
        return self

    def predict_proba(self, rows: Any) -> Any:
        second = np.clip(0.5 + rows[:, 0] / 8, 0, 1)
        return np.c_[1 - second, second]

    def predict(self, rows: Any) -> Any:
        return self.classes_[(rows[:, 0] >= 0).astype(int)]


def test_in_a_tie_the_label_is_scikit_learns(publish_pair: Any, workshop: Any) -> None:
    ties = np.array([[0.0, 1.0], [0.0, -2.0], [1.0, 0.0], [-1.0, 0.0]])
    estimator = Second().fit(ROWS, CLASSES)
    assert estimator.predict_proba(ties)[0].tolist() == [0.5, 0.5]
    publish_pair(estimator)
    assert_as_scikit_learn(workshop, estimator, ties)
    assert_as_scikit_learn(workshop, estimator, ties[:1])


def test_a_graph_is_held_against_scikit_learns_own_label(publish_pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The conversion would give the arg max, so that it is not even begun."""
    begun: list[bytes] = []
    monkeypatch.setattr(engine_choice, "convert", lambda artifact, **_rest: begun.append(artifact))
    assert publish_pair(Second().fit(ROWS, CLASSES)).engine == "sklearn"
    assert begun == []


@pytest.mark.parametrize("estimator", [GradientBoostingClassifier(n_estimators=3), GaussianNB(), MLPClassifier((4,), max_iter=2000)])
def test_other_families_answer_their_own_labels(estimator: Any, publish_pair: Any, workshop: Any) -> None:
    estimator.fit(ROWS, CLASSES)
    publish_pair(estimator)
    assert_as_scikit_learn(workshop, estimator, PROBES)


def test_a_forest_is_asked_once_since_its_label_is_its_most_probable_class(publish_pair: Any, workshop: Any) -> None:
    estimator = make_pipeline(StandardScaler(), RandomForestClassifier(4, random_state=1)).fit(ROWS, CLASSES)
    publish_pair(estimator)
    assert not served(workshop).manifest.own_labels
    assert_as_scikit_learn(workshop, estimator, np.round(PROBES))


def test_labels_and_probabilities_take_one_transformation() -> None:
    seen: list[int] = []

    def note(rows: Any) -> Any:
        seen.append(len(rows))
        return rows

    estimator = make_pipeline(FunctionTransformer(note), LogisticRegression()).fit(ROWS, CLASSES)
    seen.clear()
    scores = SklearnEngine(estimator, classifies=True, own_labels=True).score(PROBES)
    assert seen == [len(PROBES)]
    assert scores[:, 2].tolist() == estimator.predict(PROBES).tolist()
    assert np.array_equal(scores[:, :2], estimator.predict_proba(PROBES))


def test_each_target_has_a_label_of_its_own() -> None:
    zones = np.digitize(ROWS[:, 0], [-1.0, 1.0])
    estimator = MultiOutputClassifier(LogisticRegression()).fit(ROWS, np.c_[CLASSES, zones])
    scores = SklearnEngine(estimator, classifies=True, own_labels=True).score(PROBES)
    assert scores.shape == (200, 2 + 1 + 3 + 1)
    assert np.array_equal(scores[:, [2, 6]], estimator.predict(PROBES))


def test_a_label_that_is_none_of_the_classes_is_refused(publish_pair: Any) -> None:
    class Stranger(Second):
        def predict(self, rows: Any) -> Any:
            return np.full(len(rows), 7)

    globals()["Stranger"] = Stranger
    Stranger.__qualname__ = "Stranger"
    with pytest.raises(PublishRefused, match=r"raises on rows that the contract allows.* \(ValueError"):
        publish_pair(Stranger().fit(ROWS, CLASSES))


@pytest.mark.parametrize("estimator", [LinearSVC(), RidgeClassifier(), SVC(), SGDClassifier()], ids=lambda each: type(each).__name__)
def test_a_draft_returns_only_what_the_estimator_can_answer_and_is_served(estimator: Any, publish_pair: Any, workshop: Any) -> None:
    facts = facts_of(estimator.fit(ROWS, CLASSES))
    columns = [unseen_column(name) for name in ("width", "height")]
    toml = draft("pair", "v1", columns, [Answer(facts.classes[0], ("low", "high"), facts.has_probabilities)])
    assert 'returns = ["label"]' in toml
    assert publish_pair(estimator, toml, options=ACCEPTED).engine_reason == "the estimator has no probabilities"
    answers = served(workshop).predictor.answer(PROBES, ("label",))
    assert answers == [{"label": ("low", "high")[cls]} for cls in estimator.predict(PROBES)]


def test_top_k_holds_the_most_probable_labels_whatever_the_label(publish_pair: Any, workshop: Any, pair_toml: str) -> None:
    estimator = FixedThresholdClassifier(LogisticRegression(), threshold=0.8).fit(ROWS, CLASSES)
    publish_pair(estimator, pair_toml + "top_k = 1\n")
    rows = PROBES[(estimator.predict_proba(PROBES)[:, 1] > 0.6) & (estimator.predict(PROBES) == 0)]
    for answer in served(workshop).predictor.answer(rows, ("label", "confidence", "probabilities")):
        assert answer["label"] == "low"
        assert list(answer["probabilities"]) == ["high"]
        assert answer["confidence"] < 0.5
