"""scikit-learn estimators: one thread each, never on the event loop, unpickled from verified bytes only."""

import io
import warnings
from collections.abc import Iterator
from typing import Any, Self

import joblib
import numpy as np
import sklearn
from sklearn.exceptions import InconsistentVersionWarning
from threadpoolctl import ThreadpoolController

from gatehouse.serving.engine import EngineUnusable, Scores, Values
from gatehouse.serving.shape import ClassValue


class SklearnEngine:
    """A fitted estimator. Without `predict_proba` a classifier's scores are 1 for the class that it predicts."""

    name = "sklearn"
    inline_rows = 0

    def __init__(self, estimator: Any, *, classifies: bool) -> None:
        self._estimator = estimator
        self.classes: tuple[ClassValue, ...] | None = tuple(np.asarray(estimator.classes_).tolist()) if classifies else None
        self.has_probabilities = classifies and hasattr(estimator, "predict_proba")
        self._predict = estimator.predict_proba if self.has_probabilities else estimator.predict
        for part in _parts(estimator):
            state = vars(part)
            if state.get("n_jobs") is not None:
                part.n_jobs = 1
            # rows come as arrays in the contract's order; a memory of column names would only warn at every call
            state.pop("feature_names_in_", None)
        pools = ThreadpoolController()
        # BLAS counts threads for the whole process: bounded once, for good. OpenMP counts them for each thread: bounded in each call
        pools.select(user_api="blas").limit(limits=1)
        self._openmp = pools.select(user_api="openmp")

    @classmethod
    def from_verified(cls, artifact: bytes, written_by: str | None, classes: tuple[ClassValue, ...] | None) -> Self:
        """The estimator in bytes whose signature was verified. Raises EngineUnusable."""
        if written_by != sklearn.__version__:
            raise EngineUnusable(
                f"published with scikit-learn {written_by}, but {sklearn.__version__} is installed:"
                f" publish the model again, or install scikit-learn {written_by}"
            )
        try:
            engine = cls(load_estimator(artifact), classifies=classes is not None)
        except (AttributeError, TypeError):
            raise EngineUnusable("the artifact is not a fitted estimator for its manifest: publish the model again") from None
        if engine.classes != classes:
            raise EngineUnusable("the estimator's classes are not those of the manifest: publish the model again")
        return engine

    def score(self, values: Values) -> Scores:
        with self._openmp.limit(limits=1):
            answer = np.asarray(self._predict(values))
        scores: Scores
        if self.classes is None:
            scores = answer.astype(np.float64).reshape(len(answer))  # n values, or n rows of one
        elif self.has_probabilities:
            scores = answer.astype(np.float64, copy=False)
        else:
            scores = (answer.reshape(len(answer), 1) == np.asarray(self._estimator.classes_)[None, :]).astype(np.float64)
        return scores

    def predicted_labels(self, values: Values) -> list[ClassValue]:
        """What the estimator itself answers."""
        labels: list[ClassValue] = np.asarray(self._estimator.predict(values)).tolist()
        return labels


def load_estimator(artifact: bytes) -> Any:
    """Unpickle: runs code of whoever made the bytes, so they must be one's own or verified. Raises EngineUnusable."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", InconsistentVersionWarning)
        try:
            return joblib.load(io.BytesIO(artifact))
        except InconsistentVersionWarning as error:
            raise EngineUnusable(
                f"saved by scikit-learn {error.original_sklearn_version}, but {error.current_sklearn_version} is installed:"
                f" train and save it again here, or install scikit-learn {error.original_sklearn_version}"
            ) from None
        except Exception as error:  # unpickling can raise anything
            raise EngineUnusable(
                f"the file cannot be loaded ({type(error).__name__}): save the fitted estimator with joblib.dump"
            ) from None


def _parts(root: Any) -> Iterator[Any]:
    """The estimator and everything of scikit-learn nested in it, through lists, tuples, dictionaries and object arrays."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        item = waiting.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list | tuple):
            waiting.extend(item)
        elif isinstance(item, np.ndarray):
            waiting.extend(item.ravel().tolist() if item.dtype == object else ())
        elif hasattr(item, "__dict__") and not isinstance(item, type) and (hasattr(item, "get_params") or _is_sklearn(item)):
            yield item
            waiting.extend(vars(item).values())


def _is_sklearn(item: Any) -> bool:
    return type(item).__module__.partition(".")[0] == "sklearn"
