"""What a fitted estimator tells of itself: what it takes and what it answers."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatehouse.serving.engine import EngineUnusable
from gatehouse.serving.engines.sklearn import classes_by_target, takes_text
from gatehouse.serving.fitted_values import fitted_values
from gatehouse.serving.options import PublishOptions
from gatehouse.serving.plain_input import missing_text
from gatehouse.serving.shape import ClassValue

DEFAULTS = PublishOptions()


@dataclass(frozen=True, slots=True)
class EstimatorFacts:
    """`features` is None where the estimator does not tell; `takes_text`: it is given one text a row, not a table.

    `classes` has one tuple for each output of a classifier, in the estimator's order, and is empty for a regressor. `texts`: those that
    its encoders know as categories, such as "007" or "true", which a sample alone would take for something else. `nan_texts`: it knows a
    missing text as NaN.
    """

    features: int | None
    names: tuple[str, ...] | None
    takes_text: bool
    outputs: int
    classes: tuple[tuple[ClassValue, ...], ...]
    has_probabilities: bool
    texts: tuple[str, ...] = ()
    nan_texts: bool = False


def _quietly(_: str) -> None:
    """Nobody is told."""


def estimator_facts(artifact: bytes, options: PublishOptions = DEFAULTS, progress: Callable[[str], None] = _quietly) -> EstimatorFacts:
    """Loads the publisher's own file, which runs it, with the code or the other scikit-learn that it needs. Raises EngineUnusable."""
    # another Python imports this module for `facts_of`, and has not all that opening needs
    from gatehouse.serving.fit import PublishRefused
    from gatehouse.serving.opening import open_estimator

    try:
        return facts_of(open_estimator(artifact, options, progress).estimator)
    except PublishRefused as error:
        raise EngineUnusable(str(error)) from None


def facts_of(estimator: Any) -> EstimatorFacts:
    """Raises EngineUnusable for what is no fitted estimator."""
    told = getattr(estimator, "facts", None)
    if isinstance(told, EstimatorFacts):  # it is loaded elsewhere
        return told
    if not hasattr(estimator, "predict"):
        raise EngineUnusable("the file holds no estimator with a predict method: save the fitted estimator or pipeline itself")
    of_text = takes_text(estimator)
    features = 1 if of_text else getattr(estimator, "n_features_in_", None)
    if features is None and not hasattr(estimator, "classes_"):
        raise EngineUnusable("the estimator is not fitted: call fit before saving it")
    names = getattr(estimator, "feature_names_in_", None)
    classes = classes_by_target(estimator)
    return EstimatorFacts(
        features=features,
        names=None if names is None else tuple(map(str, names)),
        takes_text=of_text,
        outputs=len(classes) or _targets(estimator, features),
        classes=classes,
        has_probabilities=hasattr(estimator, "predict_proba"),
        texts=_texts(estimator),
        nan_texts=missing_text(estimator) is not None,
    )


def _texts(estimator: Any) -> tuple[str, ...]:
    known = (np.ravel(np.asarray(value.value)) for value in fitted_values(estimator) if value.attribute == "categories_")
    return tuple(sorted({str(cell) for cells in known for cell in cells if isinstance(cell, str)}))


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
