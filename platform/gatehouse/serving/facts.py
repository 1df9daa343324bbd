"""What a fitted estimator tells of itself: what it takes and what it answers."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatehouse.serving.engine import EngineUnusable
from gatehouse.serving.engines.sklearn import load_estimator
from gatehouse.serving.shape import ClassValue


@dataclass(frozen=True, slots=True)
class EstimatorFacts:
    """`features` is None where the estimator does not tell; `takes_text`: it is given one text a row, not a table.

    `classes` has one tuple for each output of a classifier, in the estimator's order, and is empty for a regressor.
    """

    features: int | None
    names: tuple[str, ...] | None
    takes_text: bool
    outputs: int
    classes: tuple[tuple[ClassValue, ...], ...]
    has_probabilities: bool


def estimator_facts(artifact: bytes) -> EstimatorFacts:
    """Loads the publisher's own file, which runs it. Raises EngineUnusable."""
    return facts_of(load_estimator(artifact))


def facts_of(estimator: Any) -> EstimatorFacts:
    """Raises EngineUnusable for what is no fitted estimator."""
    if not hasattr(estimator, "predict"):
        raise EngineUnusable("the file holds no estimator with a predict method: save the fitted estimator or pipeline itself")
    takes_text = _takes_text(estimator)
    features = 1 if takes_text else getattr(estimator, "n_features_in_", None)
    if features is None and not hasattr(estimator, "classes_"):
        raise EngineUnusable("the estimator is not fitted: call fit before saving it")
    names = getattr(estimator, "feature_names_in_", None)
    classes = _classes(estimator)
    return EstimatorFacts(
        features=features,
        names=None if names is None else tuple(map(str, names)),
        takes_text=takes_text,
        outputs=len(classes) or _targets(estimator, features),
        classes=classes,
        has_probabilities=hasattr(estimator, "predict_proba"),
    )


def _classes(estimator: Any) -> tuple[tuple[ClassValue, ...], ...]:
    found = getattr(estimator, "classes_", None)
    if found is None:
        return ()
    several = isinstance(found, list | tuple) and all(np.ndim(each) == 1 for each in found)
    return tuple(tuple(np.asarray(each).tolist()) for each in (found if several else [found]))


def _takes_text(estimator: Any) -> bool:
    """A text vectorizer that stands first is given texts; within a ColumnTransformer it is given a column of a table."""
    first = estimator
    while getattr(first, "steps", None):
        first = first.steps[0][1]
    return hasattr(first, "build_analyzer")


def _targets(estimator: Any, features: int | None) -> int:
    """Few regressors say how many values they answer; most show it on a row of zeros, the others by their last step."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of column names, which this row has not
            answer = np.asarray(estimator.predict(np.zeros((1, features or 1))))
        return answer.shape[1] if answer.ndim == 2 else 1
    except Exception:  # estimators raise what they like on a row that they were not made for
        return _targets_of_last_step(estimator)


def _targets_of_last_step(estimator: Any) -> int:
    last = estimator
    while True:
        inner = [getattr(last, name, None) for name in ("best_estimator_", "regressor_")]
        steps = getattr(last, "steps", None)
        last, before = (steps[-1][1] if steps else next((each for each in inner if each is not None), last)), last
        if last is before:
            break
    told = getattr(last, "n_outputs_", None)
    if told is not None:
        return int(told)
    if hasattr(last, "estimators_") and type(last).__module__ == "sklearn.multioutput":
        return len(last.estimators_)
    weights = getattr(last, "coef_", None)
    return int(weights.shape[0]) if weights is not None and np.ndim(weights) == 2 else 1
