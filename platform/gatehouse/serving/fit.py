"""Whether an estimator can keep what a contract promises."""

import re
from collections.abc import Sequence
from typing import Any

from gatehouse.serving.engine import EngineUnusable
from gatehouse.serving.facts import EstimatorFacts, facts_of
from gatehouse.serving.shape import ClassValue, ContractShape, OutputShape

_TEXTS = ("text", "category")


class PublishRefused(Exception):
    """The model is not published; the message is one line and names the remedy."""


def check_fit(estimator: Any, contract: ContractShape) -> list[str]:
    """Notes for the publisher. Raises PublishRefused."""
    try:
        facts = facts_of(estimator)
    except EngineUnusable as error:
        raise PublishRefused(str(error)) from None
    _check_features(facts, contract)
    _check_outputs(facts, contract.output)
    return _check_names(facts.names, contract)


def _check_features(facts: EstimatorFacts, contract: ContractShape) -> None:
    wanted = len(contract.features)
    if facts.takes_text and (wanted != 1 or contract.features[0].type not in _TEXTS):
        raise PublishRefused('the estimator takes one text a row: give the contract exactly one feature, of type = "text"')
    if facts.features not in (None, wanted):
        raise PublishRefused(
            f"the estimator was fitted on {facts.features} features, the contract has {wanted}: list exactly those {facts.features}"
        )


def _check_outputs(facts: EstimatorFacts, output: OutputShape) -> None:
    if output.task != "multioutput":
        if facts.outputs > 1:
            raise PublishRefused(
                f'the estimator answers {facts.outputs} values a row: give the contract task = "multioutput" and {facts.outputs} targets,'
                " which gatehouse contracts draft writes with --targets"
            )
        _check_output("", output, facts.classes[0] if facts.classes else None, facts.has_probabilities)
        return
    if facts.outputs == 1:
        task = "classification" if facts.classes else "regression"
        raise PublishRefused(f'the estimator answers one value a row: set task = "{task}" in the contract, without targets')
    if facts.outputs != len(output.targets):
        raise PublishRefused(
            f"the estimator answers {facts.outputs} values a row, the contract has {len(output.targets)} targets:"
            f" list exactly those {facts.outputs}, in its order"
        )
    for target, classes in zip(output.targets, facts.classes or (None,) * facts.outputs, strict=True):
        _check_output(f"target '{target.name}': ", target.output, classes, facts.has_probabilities)


def _check_output(of: str, output: OutputShape, fitted: Sequence[ClassValue] | None, has_probabilities: bool) -> None:
    if fitted is None and output.task == "classification":
        raise PublishRefused(f'{of}the estimator has no classes: set task = "regression" in the contract')
    if fitted is not None and output.task != "classification":
        raise PublishRefused(f'{of}the estimator is a classifier: set task = "classification" and its labels in the contract')
    if fitted is None:
        return
    named = [label.cls for label in output.labels]
    if set(named) != set(fitted) or len(named) != len(fitted):
        shown = ", ".join(repr(cls) for cls in fitted)
        raise PublishRefused(
            f"{of}the estimator's classes are {shown}: give each of them, and nothing else, a name in the contract's labels"
        )
    if {"confidence", "probabilities"} & set(output.returns) and not has_probabilities:
        raise PublishRefused(f'{of}the estimator has no predict_proba: return only "label", or wrap it in CalibratedClassifierCV')


def _check_names(fitted: Sequence[str] | None, contract: ContractShape) -> list[str]:
    """A contract may rename columns, but a name that the estimator knows must stand where the estimator has it."""
    if fitted is None:
        return []
    columns = [_slug(name) for name in fitted]
    names = [feature.name for feature in contract.features]
    renamed: list[str] = []
    for place, name in enumerate(names):
        if columns[place] == _slug(name):
            continue
        if _slug(name) in columns:
            order = ", ".join(fitted)
            raise PublishRefused(
                f"the contract's '{name}' does not stand where the estimator has it: list the features in the order {order}"
            )
        renamed.append(f"'{name}' feeds '{fitted[place]}'")
    return ["columns by position: " + ", ".join(renamed)] if renamed else []


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
