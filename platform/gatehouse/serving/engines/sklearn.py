"""scikit-learn estimators: one thread each, never on the event loop, unpickled from verified bytes only."""

import io
import warnings
from collections.abc import Sequence
from typing import Any, Self

import joblib
import numpy as np
import sklearn
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.pipeline import Pipeline
from threadpoolctl import ThreadpoolController

from gatehouse.serving.attached_code import CodeUnusable, load_with_code
from gatehouse.serving.classes import Places, from_targets
from gatehouse.serving.engine import Classes, EngineUnusable, Scores, Values
from gatehouse.serving.estimator_parts import parts_of
from gatehouse.serving.plain_input import missing_text, without_names
from gatehouse.serving.shape import ClassValue


class SklearnEngine:
    """A fitted estimator. Without `predict_proba` a classifier's scores are 1 for the class that it predicts."""

    name = "sklearn"
    inline_rows = 0

    def __init__(self, estimator: Any, *, classifies: bool, own_labels: bool = False, texts: Sequence[int] = ()) -> None:
        """`texts`: which columns of a table of objects hold texts; the others hold numbers. Changes the estimator."""
        self._targets = classes_by_target(estimator) if classifies else ()
        self.classes: Classes = from_targets(self._targets)
        self.has_probabilities = classifies and hasattr(estimator, "predict_proba")
        self.own_labels = own_labels and self.has_probabilities
        for part in parts_of(estimator):
            if vars(part).get("n_jobs") is not None:
                part.n_jobs = 1
        without_names(estimator)
        self._texts = list(texts)
        self._missing_text = missing_text(estimator)
        self._takes_text = takes_text(estimator)
        self._front, self._last = _divided(estimator)
        self._predict = self._last.predict
        pools = ThreadpoolController()
        # BLAS counts threads for the whole process: bounded once, for good. OpenMP counts them for each thread: bounded in each call
        pools.select(user_api="blas").limit(limits=1)
        self._openmp = pools.select(user_api="openmp")

    @classmethod
    def from_verified(
        cls,
        artifact: bytes,
        written_by: str | None,
        classes: Classes,
        *,
        own_labels: bool = False,
        code: bytes | None = None,
        texts: Sequence[int] = (),
    ) -> Self:
        """The estimator in bytes whose signature was verified, as that of the code was. Raises EngineUnusable."""
        if written_by != sklearn.__version__:
            raise EngineUnusable(
                f"published with scikit-learn {written_by}, but {sklearn.__version__} is installed:"
                f" publish the model again, or install scikit-learn {written_by}"
            )
        try:
            engine = cls(load_estimator(artifact, code), classifies=classes is not None, own_labels=own_labels, texts=texts)
        except (AttributeError, TypeError):
            raise EngineUnusable("the artifact is not a fitted estimator for its manifest: publish the model again") from None
        if engine.classes != classes or engine.own_labels != own_labels:
            raise EngineUnusable("the estimator's classes are not those of the manifest: publish the model again")
        return engine

    def score(self, values: Values) -> Scores:
        with self._openmp.limit(limits=1):
            table = self._transformed(values)
            if not self._targets:
                return _values(self._predict(table))
            if not self.has_probabilities:
                return _one_hot(self._places(table), self._targets)
            probabilities = _probabilities(self._last.predict_proba(table), self._targets)
            if not self.own_labels:
                return np.concatenate(probabilities, axis=1)
            places = self._places(table)
            told = [places[:, [target]].astype(np.float64) for target in range(len(self._targets))]
            return np.concatenate([part for pair in zip(probabilities, told, strict=True) for part in pair], axis=1)

    def predicted_places(self, values: Values) -> Places:
        """The estimator's own labels. Raises EngineUnusable for several of one target, ValueError for one that is no class of it."""
        return self._places(self._transformed(values))

    def _transformed(self, values: Values) -> Any:
        """What the last step is given; a text model is given one text a row."""
        table = self._with_its_nulls(values) if values.dtype == object else values
        table = table[:, 0] if self._takes_text else table
        for step in self._front:
            table = step.transform(table)
        return table

    def _with_its_nulls(self, values: Values) -> Values:
        """Rows of objects in which null is None, as the estimator knows what is missing."""
        missing = values == None  # noqa: E711  # of each cell
        if not missing.any():
            return values
        table = values.copy()
        table[missing] = np.nan
        if self._missing_text is None:
            table[:, self._texts] = values[:, self._texts]
        return table

    def _places(self, table: Any) -> Places:
        labels = np.asarray(self._predict(table))
        if labels.size != len(labels) * len(self._targets):
            raise EngineUnusable(
                "the estimator answers more than one label out of a list of classes: wrap it in MultiOutputClassifier and train it again"
            )
        columns = labels.reshape(len(labels), len(self._targets)).T
        return np.stack([_places_of(column, classes) for column, classes in zip(columns, self._targets, strict=True)], axis=1)


def classes_by_target(estimator: Any) -> tuple[tuple[ClassValue, ...], ...]:
    """One tuple for each target of a classifier, in the estimator's order; empty for a regressor."""
    found = getattr(estimator, "classes_", None)
    if found is None:
        return ()
    several = isinstance(found, list | tuple) and all(np.ndim(each) == 1 for each in found)
    return tuple(tuple(np.asarray(each).tolist()) for each in (found if several else [found]))


def takes_text(estimator: Any) -> bool:
    """A text vectorizer that stands first is given texts; within a ColumnTransformer it is given a column of a table."""
    first = estimator
    while getattr(first, "steps", None):
        first = first.steps[0][1]
    return hasattr(first, "build_analyzer")


def _divided(estimator: Any) -> tuple[list[Any], Any]:
    """The transformers of a pipeline and its last step, so that probabilities and labels come from one transformation."""
    if type(estimator) is not Pipeline:
        return [], estimator
    *front, last = (step for _, step in estimator.steps)
    return [step for step in front if step is not None and step != "passthrough"], last


def _values(answer: Any) -> Scores:
    """One value a row, shape (rows,), or several, shape (rows, targets)."""
    scores = np.asarray(answer).astype(np.float64)
    return scores.reshape(len(scores)) if scores.size == len(scores) else scores


def _probabilities(answer: Any, targets: tuple[tuple[ClassValue, ...], ...]) -> list[Scores]:
    """One table for each target. A chain of yes and no tells of each target the second class only."""
    if isinstance(answer, list):
        return [np.asarray(each).astype(np.float64, copy=False) for each in answer]
    table = np.asarray(answer).astype(np.float64, copy=False)
    if len(targets) == 1:
        return [table]
    return [np.stack([1.0 - second, second], axis=1) for second in table.T]


def _one_hot(places: Places, targets: tuple[tuple[ClassValue, ...], ...]) -> Scores:
    return np.concatenate([np.eye(len(classes))[places[:, target]] for target, classes in enumerate(targets)], axis=1)


def _places_of(labels: Any, classes: tuple[ClassValue, ...]) -> Any:
    """Where each label stands among the classes. Raises ValueError for one that is none of them."""
    known = np.asarray(classes)
    if known.dtype.kind != labels.dtype.kind:
        known = known.astype(labels.dtype)  # targets of texts and of numbers in one table are all texts
    same = labels[:, None] == known[None, :]
    if not same.any(axis=1).all():
        raise ValueError("a label that is none of the classes")
    return same.argmax(axis=1)


def load_estimator(artifact: bytes, code: bytes | None = None) -> Any:
    """Unpickle: runs code of whoever made the bytes, so they must be one's own or verified.

    `code` is run first; its objects take the place of names that no installed package has. Raises EngineUnusable.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", InconsistentVersionWarning)
        try:
            return joblib.load(io.BytesIO(artifact)) if code is None else load_with_code(artifact, code)
        except CodeUnusable as error:
            raise EngineUnusable(str(error)) from None
        except InconsistentVersionWarning as error:
            raise EngineUnusable(
                f"saved by scikit-learn {error.original_sklearn_version}, but {error.current_sklearn_version} is installed:"
                f" train and save it again here, or install scikit-learn {error.original_sklearn_version}"
            ) from None
        except ModuleNotFoundError as error:
            raise EngineUnusable(f"the file refers to {error.name!r}, which is not installed here: install it") from None
        except Exception as error:  # unpickling can raise anything
            raise EngineUnusable(
                f"the file cannot be loaded ({type(error).__name__}): save the fitted estimator with joblib.dump"
            ) from None
