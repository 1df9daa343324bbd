"""Engines: one thread, one shape of answer, nothing on the event loop that would hold it."""

import re
import threading
import warnings

import numpy as np
import pytest
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_info

from gatehouse.serving.engine import EngineUnusable
from gatehouse.serving.engines.onnx import MAX_INLINE_ROWS, OnnxEngine
from gatehouse.serving.engines.sklearn import SklearnEngine, load_estimator

RANDOM = np.random.default_rng(3)
ROWS = RANDOM.normal(size=(60, 3))
CLASSES = np.array(["no", "yes"])[(ROWS[:, 0] > 0).astype(int)]


def _graph(published):
    return published.workshop.repository.read("iris", "1.0.0").artifact


def test_row_63_scikit_learn_never_runs_on_the_event_loop():
    assert SklearnEngine(LogisticRegression().fit(ROWS, CLASSES), classifies=True).inline_rows == 0


class _Clock:
    """Every reading is `step` seconds after the last."""

    def __init__(self, step):
        self.step, self.now = step, 0.0

    def __call__(self):
        self.now += self.step
        return self.now


def test_row_63_graph_that_takes_long_never_runs_on_the_event_loop(published):
    assert OnnxEngine(_graph(published), 4, (0, 1, 2), clock=_Clock(0.002)).inline_rows == 0
    assert OnnxEngine(_graph(published), 4, (0, 1, 2), clock=_Clock(0.00001)).inline_rows == MAX_INLINE_ROWS


def test_a_graph_answers_doubles_in_the_shape_of_rows_and_classes(published):
    engine = OnnxEngine(_graph(published), 4, (0, 1, 2))
    for rows in (1, 2, 1000):
        scores = engine.score(np.full((rows, 4), 3.0))
        assert (scores.shape, scores.dtype) == ((rows, 3), np.float64)


def test_a_number_beyond_float32_raises_instead_of_becoming_infinite(published):
    with pytest.raises(FloatingPointError):
        OnnxEngine(_graph(published), 4, (0, 1, 2)).score(np.array([[1e39, 1, 1, 1]]))


def test_a_graph_of_another_width_cannot_be_loaded(published):
    with pytest.raises(EngineUnusable, match="publish the model again"):
        OnnxEngine(_graph(published), 5, (0, 1, 2))


def test_every_nested_estimator_gets_one_job():
    voting = VotingClassifier(
        [("f", RandomForestClassifier(3)), ("p", make_pipeline(StandardScaler(), RandomForestClassifier(3)))], voting="soft"
    )
    calibrated = CalibratedClassifierCV(voting, cv=2).fit(ROWS, CLASSES)
    inner = calibrated.calibrated_classifiers_[0].estimator
    parts = (calibrated, inner, inner.estimators_[0], inner.estimators_[1].steps[-1][1])
    for part in parts:
        part.n_jobs = 8
    SklearnEngine(calibrated, classifies=True)
    assert [part.n_jobs for part in parts] == [1, 1, 1, 1]


class ThreadCounter(ClassifierMixin, BaseEstimator):
    """Remembers how many threads BLAS and OpenMP had while it predicted."""

    def fit(self, rows, classes):
        self.classes_ = np.unique(classes)
        self.seen_ = []
        return self

    def predict_proba(self, rows):
        self.seen_.extend(pool["num_threads"] for pool in threadpool_info())
        return np.full((len(rows), 2), 0.5)

    def predict(self, rows):
        return np.full(len(rows), self.classes_[0])


def test_blas_and_openmp_have_one_thread_while_predicting_in_any_thread():
    HistGradientBoostingClassifier(max_iter=2).fit(ROWS, CLASSES)  # loads OpenMP
    counter = ThreadCounter().fit(ROWS, CLASSES)
    engine = SklearnEngine(counter, classifies=True)
    threads = [threading.Thread(target=engine.score, args=(ROWS,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(counter.seen_) >= 3
    assert set(counter.seen_) == {1}


def test_an_estimator_fitted_with_names_scores_arrays_without_a_warning():
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    pipeline.fit(ROWS, CLASSES)
    for _, step in pipeline.steps:
        step.feature_names_in_ = np.array(["a", "b", "c"], dtype=object)
    with pytest.warns(UserWarning, match="feature names"):
        pipeline.predict_proba(ROWS)
    engine = SklearnEngine(pipeline, classifies=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert engine.score(ROWS).shape == (60, 2)


def test_without_probabilities_the_predicted_class_scores_one():
    estimator = LinearSVC().fit(ROWS, CLASSES)
    engine = SklearnEngine(estimator, classifies=True)
    scores = engine.score(ROWS)
    assert scores.sum(axis=1).tolist() == [1.0] * 60
    assert [engine.classes[place] for place in scores.argmax(axis=1)] == estimator.predict(ROWS).tolist()


def test_an_estimator_saved_by_another_scikit_learn_is_refused_with_both_versions(dump):
    installed = sklearn.__version__
    older = "0" + installed[1:]  # of the same length, as the pickle says how long it is
    changed = dump(LogisticRegression().fit(ROWS, CLASSES)).replace(installed.encode(), older.encode())
    with pytest.raises(EngineUnusable, match=rf"saved by scikit-learn {re.escape(older)}, but .* install scikit-learn {re.escape(older)}"):
        load_estimator(changed)


@pytest.mark.parametrize("source", [b"", b"junk", b"\x80\x04."])
def test_what_is_no_joblib_file_is_refused(source):
    with pytest.raises(EngineUnusable, match=r"save the fitted estimator with joblib\.dump"):
        load_estimator(source)
