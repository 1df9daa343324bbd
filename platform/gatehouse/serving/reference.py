"""What scikit-learn itself answers to rows of the contract's space: what every engine is held against."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, ExtraTreesClassifier, RandomForestClassifier, VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from gatehouse.serving.classes import Places, most_probable
from gatehouse.serving.culprits import Culprits, find_culprits, has_null
from gatehouse.serving.engine import EngineUnusable, Scores, Values
from gatehouse.serving.engines.sklearn import SklearnEngine
from gatehouse.serving.estimator_elsewhere import EstimatorElsewhere
from gatehouse.serving.estimator_parts import parts_of
from gatehouse.serving.fit import PublishRefused
from gatehouse.serving.own_words import named
from gatehouse.serving.shape import ContractShape, text_places
from gatehouse.serving.space import example_row, to_values

_ARG_MAX = (BaggingClassifier, CalibratedClassifierCV, ExtraTreesClassifier, RandomForestClassifier, VotingClassifier)
"""Their `predict` is the arg max of their own `predict_proba`, and calling both would take twice as long."""

MOST_NAMES = 3


@dataclass(frozen=True, slots=True)
class Reference:
    """The scikit-learn engine and its answers; `labels` are the estimator's own ones, None for a regression."""

    engine: SklearnEngine
    scores: Scores
    labels: Places | None

    @property
    def labels_differ(self) -> bool:
        """Whether a label was seen that is not the most probable class."""
        return self.labels is not None and not np.array_equal(self.labels, most_probable(self.scores, self.engine.classes))


def ask_reference(estimator: Any, values: Values, contract: ContractShape) -> Reference:
    """Raises PublishRefused where the estimator has no answer to these rows, or none that can be promised."""
    output = contract.output
    classifies = any(each.task == "classification" for each in (output, *(target.output for target in output.targets)))
    wants_frames = hasattr(estimator, "feature_names_in_") and _has_own_steps(estimator)  # asked before the engine takes the names away
    engine = SklearnEngine(estimator, classifies=classifies, texts=text_places(contract.features))
    try:
        scores = engine.score(values)
        labels = engine.predicted_places(values) if classifies else None
    except PublishRefused:
        raise
    except EngineUnusable as error:
        raise PublishRefused(str(error)) from None
    except NotFittedError:
        raise PublishRefused("the estimator is not fitted: call fit before saving it") from None
    except Exception as error:  # estimators raise what they like
        advice = "; its own functions and classes get arrays in the contract's order, not data frames" if wants_frames else ""
        raise PublishRefused(_why_raised(estimator, engine, values, contract, error) + advice) from None
    if not np.isfinite(scores).all():
        raise PublishRefused("the estimator answers no finite number to rows that the contract allows: narrow the contract's bounds")
    return Reference(engine, scores, labels)


def _why_raised(estimator: Any, engine: SklearnEngine, values: Values, contract: ContractShape, error: Exception) -> str:
    """Names the features and repeats what the estimator says: only its publisher reads it."""
    found = Culprits(error, (), nulls=has_null(values))
    if not isinstance(estimator, EstimatorElsewhere):  # each question to that one takes seconds, and it tells no message
        example = to_values(contract.features, [example_row(contract.features)])
        found = find_culprits(partial(_ask, engine), values, example, error)
    names = [repr(contract.features[place].name) for place in found.places]
    listed = ", ".join(names if len(names) <= MOST_NAMES else [*names[:MOST_NAMES], f"{len(names) - MOST_NAMES} more"])
    if found.nulls:
        advice = f"forbid null{' there' if names else ''}, or put an imputer in front"
    else:
        advice = f"narrow {f'type, bounds or allowed values of {listed} in ' if names else ''}the contract to what the estimator takes"
    place = f", by what stands in {listed}" if names else ""
    return f"the estimator raises on rows that the contract allows{place} ({named(found.error)}): {advice}"


def _ask(engine: SklearnEngine, values: Values) -> None:
    engine.score(values)
    if engine.classes is not None:
        engine.predicted_places(values)


def serving_engine(estimator: Any, reference: Reference, contract: ContractShape) -> SklearnEngine:
    """As it will serve: it tells its own labels unless they are known to be the most probable classes."""
    if reference.labels is None or (predicts_most_probable(estimator) and not reference.labels_differ):
        return reference.engine
    return SklearnEngine(estimator, classifies=True, own_labels=True, texts=text_places(contract.features))


def predicts_most_probable(estimator: Any) -> bool:
    """Whether that is so by construction, ties included."""
    last = estimator
    while type(last) is Pipeline:
        last = last.steps[-1][1]
    return type(last) in _ARG_MAX


def _has_own_steps(estimator: Any) -> bool:
    parts = [type(part) for part in parts_of(estimator)]
    return any(part is FunctionTransformer or part.__module__.partition(".")[0] != "sklearn" for part in parts)
