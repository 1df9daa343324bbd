"""Whether an estimator can keep what a contract promises."""

import re
from typing import Any

import numpy as np

from gatehouse.serving.shape import ContractShape


class PublishRefused(Exception):
    """The model is not published; the message is one line and names the remedy."""


def check_fit(estimator: Any, contract: ContractShape) -> list[str]:
    """Notes for the publisher. Raises PublishRefused."""
    if not hasattr(estimator, "predict"):
        raise PublishRefused("the file holds no estimator with a predict method: save the fitted estimator or pipeline itself")
    wanted, fitted = len(contract.features), getattr(estimator, "n_features_in_", None)
    if fitted is None:
        raise PublishRefused("the estimator is not fitted: call fit before saving it")
    if fitted != wanted:
        raise PublishRefused(f"the estimator was fitted on {fitted} features, the contract has {wanted}: list exactly those {fitted}")
    if contract.output.task not in ("classification", "regression"):
        raise PublishRefused("a contract of several targets cannot be served yet: publish one model for each target")
    if contract.output.task == "classification":
        _check_classes(estimator, contract)
    elif hasattr(estimator, "classes_"):
        raise PublishRefused('the estimator is a classifier: set task = "classification" and its labels in the contract')
    return _check_names(estimator, contract)


def _check_classes(estimator: Any, contract: ContractShape) -> None:
    if not hasattr(estimator, "classes_"):
        raise PublishRefused('the estimator has no classes: set task = "regression" in the contract')
    if isinstance(estimator.classes_, list) or np.ndim(estimator.classes_) != 1:
        raise PublishRefused("the estimator answers several outputs at once: publish one model for each of them")
    fitted = np.asarray(estimator.classes_).tolist()
    named = [label.cls for label in contract.output.labels]
    if set(named) != set(fitted) or len(named) != len(fitted):
        shown = ", ".join(repr(cls) for cls in fitted)
        raise PublishRefused(f"the estimator's classes are {shown}: give each of them, and nothing else, a name in the contract's labels")
    if {"confidence", "probabilities"} & set(contract.output.returns) and not hasattr(estimator, "predict_proba"):
        raise PublishRefused('the estimator has no predict_proba: return only "label", or wrap it in CalibratedClassifierCV')


def _check_names(estimator: Any, contract: ContractShape) -> list[str]:
    """A contract may rename columns, but a name that the estimator knows must stand where the estimator has it."""
    fitted = getattr(estimator, "feature_names_in_", None)
    if fitted is None:
        return []
    columns = [_slug(str(name)) for name in fitted]
    names = [feature.name for feature in contract.features]
    renamed: list[str] = []
    for place, name in enumerate(names):
        if columns[place] == _slug(name):
            continue
        if _slug(name) in columns:
            order = ", ".join(map(str, fitted))
            raise PublishRefused(
                f"the contract's '{name}' does not stand where the estimator has it: list the features in the order {order}"
            )
        renamed.append(f"'{name}' feeds '{fitted[place]}'")
    return ["columns by position: " + ", ".join(renamed)] if renamed else []


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
