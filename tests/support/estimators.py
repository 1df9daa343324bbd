"""Estimators that misbehave in one way each; importable, so that joblib can load them."""

import os
import signal
import threading
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.linear_model import LogisticRegression

RELEASE = threading.Event()
"""Lets `Slow` answer."""
SLOW_SIZE, RAISING_SIZE, NAN_SIZE, INFINITE_SIZE = 42.4242, 13.1313, 14.1414, 15.1515


class Line(RegressorMixin, BaseEstimator):
    """Answers its first column; keeps no promise of scikit-learn beyond that."""

    def fit(self, rows: Any, targets: Any) -> "Line":
        self.n_features_in_ = np.asarray(rows).shape[1]
        return self

    def predict(self, rows: Any) -> Any:
        return np.asarray(rows, dtype=float)[:, 0].copy()


class Slow(Line):
    """Waits for RELEASE on one value, which publishing does not draw."""

    def predict(self, rows: Any) -> Any:
        if (np.asarray(rows, dtype=float) == SLOW_SIZE).any():
            RELEASE.wait(20)
        return super().predict(rows)


class Fragile(Line):
    """Raises, or answers NaN, on rows that its contract allows."""

    def predict(self, rows: Any) -> Any:
        first = np.asarray(rows, dtype=float)[:, 0]
        if (first == RAISING_SIZE).any():
            raise RuntimeError("secret-internal-text 13")
        answers = first.copy()
        answers[first == NAN_SIZE] = np.nan
        answers[first == INFINITE_SIZE] = np.inf
        return answers


HANGING_SIZE, KILLING_SIZE, SHAPELESS_SIZE, LYING_SIZE = 16.1616, 17.1717, 18.1818, 20.2020


class Wicked(Fragile):
    """As Fragile, and answers its first column plus `offset`; hangs for good, kills its process, or answers another shape."""

    def __init__(self, offset: float = 0) -> None:
        self.offset = offset

    def predict(self, rows: Any) -> Any:
        first = np.asarray(rows, dtype=float)[:, 0]
        if (first == HANGING_SIZE).any():
            while True:
                pass
        if (first == KILLING_SIZE).any():
            os.kill(os.getpid(), signal.SIGKILL)
        if (first == SHAPELESS_SIZE).any():
            return np.zeros((len(first), 3))
        return super().predict(rows) + self.offset


class Liar(ClassifierMixin, BaseEstimator):
    """Its own label is none of its classes on one value of its first column; its probabilities are too many on another."""

    def fit(self, rows: Any, targets: Any) -> "Liar":
        self.classes_, self.n_features_in_ = np.array([0, 1]), 2
        return self

    def predict_proba(self, rows: Any) -> Any:
        first = np.asarray(rows, dtype=float)[:, 0]
        return np.full((len(first), 3 if (first == SHAPELESS_SIZE).any() else 2), 0.5)

    def predict(self, rows: Any) -> Any:
        first = np.asarray(rows, dtype=float)[:, 0]
        return np.where(first == LYING_SIZE, 7, 1)


MODEL_CALLS: list[int] = []
"""The number of rows of each scoring by `Crowd`."""


class Crowd(ClassifierMixin, BaseEstimator):
    """A classifier of two columns that misbehaves on special values of its first one: waits for RELEASE, raises, answers NaN."""

    def fit(self, rows: Any, targets: Any) -> "Crowd":
        self.inner_ = LogisticRegression(C=0.01).fit(rows, targets)
        self.classes_, self.n_features_in_ = self.inner_.classes_, 2
        return self

    def predict_proba(self, rows: Any) -> Any:
        MODEL_CALLS.append(len(rows))
        first = np.asarray(rows, dtype=float)[:, 0]
        if (first == SLOW_SIZE).any():
            RELEASE.wait(20)
        if (first == RAISING_SIZE).any():
            raise RuntimeError("secret-internal-text 13")
        answers = self.inner_.predict_proba(rows)
        answers[first == NAN_SIZE] = np.nan
        return answers

    def predict(self, rows: Any) -> Any:
        return self.inner_.predict(rows)  # the server asks for these labels too, of the same rows: not counted as a call of its own
