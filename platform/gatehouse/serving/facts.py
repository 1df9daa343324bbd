"""What a fitted estimator tells of itself: what it takes and what it answers."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from gatehouse.serving.engine import EngineUnusable
from gatehouse.serving.engines.sklearn import classes_by_target, takes_text
from gatehouse.serving.estimator_parts import parts_of
from gatehouse.serving.fitted_values import fitted_values
from gatehouse.serving.known_cells import KnownCells
from gatehouse.serving.options import PublishOptions
from gatehouse.serving.plain_input import missing_text
from gatehouse.serving.shape import ClassValue

DEFAULTS = PublishOptions()
_MOST_KNOWN = 5_000


@dataclass(frozen=True, slots=True)
class EstimatorFacts:
    """`features` is None where the estimator does not tell; `takes_text`: it is given one text a row, not a table.

    `classes` has one tuple for each output of a classifier, in the estimator's order, and is empty for a regressor. `texts`: those that
    its encoders know as categories, such as "007" or "true", which a sample alone would take for something else. `nan_texts`: it knows a
    missing text as NaN. `words`: those of its text vectorizers, stop words as well. `numbers`: categories that are numbers.
    """

    features: int | None
    names: tuple[str, ...] | None
    takes_text: bool
    outputs: int
    classes: tuple[tuple[ClassValue, ...], ...]
    has_probabilities: bool
    texts: tuple[str, ...] = ()
    nan_texts: bool = False
    words: tuple[str, ...] = ()
    numbers: tuple[float, ...] = ()

    @property
    def known(self) -> KnownCells:
        """What it knows by heart."""
        return KnownCells(self.texts, self.words, self.numbers)


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
        raise EngineUnusable(f"the file holds no estimator with a predict method, but {_held(estimator)}")
    of_text = takes_text(estimator)
    features = 1 if of_text else getattr(estimator, "n_features_in_", None)
    if features is None and not hasattr(estimator, "classes_"):
        raise EngineUnusable("the estimator is not fitted: call fit before saving it")
    names = getattr(estimator, "feature_names_in_", None)
    classes = classes_by_target(estimator)
    known = _categories(estimator)
    return EstimatorFacts(
        features=features,
        names=None if names is None else tuple(map(str, names)),
        takes_text=of_text,
        outputs=len(classes) or _targets(estimator, features),
        classes=classes,
        has_probabilities=hasattr(estimator, "predict_proba"),
        texts=tuple(sorted({cell for cell in known if isinstance(cell, str)})),
        words=_some(_words(estimator)),
        numbers=_some({float(cell) for cell in known if _is_number(cell)}),
        nan_texts=missing_text(estimator) is not None,
    )


def _held(found: Any) -> str:
    """What is no estimator, and what to save instead."""
    if isinstance(found, dict):
        inside = next((str(name)[:80] for name, member in found.items() if hasattr(member, "predict")), None)
        if inside is not None:
            return f'a dict with one inside: save its member "{inside}" alone'
    kind = type(found).__name__[:80]
    return f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}: save the fitted estimator or pipeline itself"


def _categories(estimator: Any) -> list[Any]:
    known = (np.ravel(np.asarray(value.value)).tolist() for value in fitted_values(estimator) if value.attribute == "categories_")
    return [cell for cells in known for cell in cells]


def _words(estimator: Any) -> set[str]:
    found: set[str] = set()
    for part in parts_of(estimator):
        if isinstance(getattr(part, "vocabulary_", None), dict):
            found |= {str(word) for word in (*part.vocabulary_, *(part.get_stop_words() or ()))}
    return found


def _some(cells: set[Any]) -> tuple[Any, ...]:
    """Sorted, and where they are many, evenly chosen from end to end."""
    return tuple(sorted(cells)[:: 1 + len(cells) // _MOST_KNOWN])


def _is_number(cell: Any) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool) and isfinite(cell)


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
