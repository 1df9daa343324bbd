"""What scikit-learn itself answers to rows of the contract's space: what every engine is held against."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, ExtraTreesClassifier, RandomForestClassifier, VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from gatehouse.serving.classes import Places, most_probable
from gatehouse.serving.engine import EngineUnusable, Scores, Values
from gatehouse.serving.engines.sklearn import SklearnEngine
from gatehouse.serving.estimator_parts import parts_of
from gatehouse.serving.fit import PublishRefused
from gatehouse.serving.shape import ContractShape, text_places

_ARG_MAX = (BaggingClassifier, CalibratedClassifierCV, ExtraTreesClassifier, RandomForestClassifier, VotingClassifier)
"""Their `predict` is the arg max of their own `predict_proba`, and calling both would take twice as long."""


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
    named = hasattr(estimator, "feature_names_in_")
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
        nulls = values.dtype == np.float64 and np.isnan(values).any()
        advice = "forbid null, or put an imputer in front" if nulls else "narrow the contract to what the estimator takes"
        if named and _has_own_steps(estimator):
            advice += "; its own functions and classes get arrays in the contract's order, not data frames"
        raise PublishRefused(f"the estimator raises {type(error).__name__} on rows that the contract allows: {advice}") from None
    if not np.isfinite(scores).all():
        raise PublishRefused("the estimator answers no finite number to rows that the contract allows: narrow the contract's bounds")
    return Reference(engine, scores, labels)


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
