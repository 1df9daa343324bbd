"""From an estimator's facts, a sample and what its author says to a drafted contract: composes the contracts and serving rooms."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gatehouse.cli.sample import Sample, in_order
from gatehouse.contracts.contract import Contract
from gatehouse.contracts.draft import Answer, DraftIncomplete, draft
from gatehouse.contracts.inference import Column, ColumnUnclear, infer_column, unseen_column
from gatehouse.errors import Refused
from gatehouse.serving.options import PublishOptions

if TYPE_CHECKING:
    from gatehouse.serving.facts import EstimatorFacts


DEFAULTS = PublishOptions()
FEATURES_HELP = "Names of the columns, in the order they were fitted in."
LABELS_HELP = "What partners call the classes, in the estimator's order; once for each output."
TARGETS_HELP = "Names of several outputs, in order."


@dataclass(frozen=True, slots=True)
class Told:
    """What the author says by options. `labels`: names of classes in the estimator's order, for each output of a classifier."""

    features: tuple[str, ...] | None = None
    labels: tuple[tuple[str, ...], ...] = ()
    targets: tuple[str, ...] = ()


def told_by(features: str | None, labels: list[str] | None, targets: str | None) -> Told:
    """What the options of these names say. Raises Refused."""
    return Told(
        features=split_names(features, "--features") if features is not None else None,
        labels=tuple(split_names(each, "--labels") for each in labels or ()),
        targets=split_names(targets, "--targets") if targets is not None else (),
    )


def renamed_sample(sample: Sample, contract: Contract, facts: Callable[[], "EstimatorFacts"], told: Told) -> Sample:
    """The sample under the contract's names, which may be others than those of the estimator's columns. Raises Refused."""
    if all(feature.name in sample.columns for feature in contract.features if feature.required):
        return sample
    columns = _feature_names(facts(), sample, told.features)
    return sample if len(columns) != len(contract.names) else replace(in_order(sample, columns), columns=contract.names)


def facts_of_artifact(
    artifact: bytes, options: PublishOptions = DEFAULTS, progress: Callable[[str], None] = lambda _step: None
) -> "EstimatorFacts":
    """Loads the publisher's own file, which runs it. Raises Refused."""
    # scikit-learn takes seconds to load; only commands that read an estimator need it
    from gatehouse.serving.engine import EngineUnusable
    from gatehouse.serving.facts import estimator_facts

    try:
        return estimator_facts(artifact, options, progress)
    except EngineUnusable as error:
        raise Refused(str(error)) from None


def draft_contract(facts: "EstimatorFacts", model: str, api_version: str, sample: Sample | None, told: Told) -> str:
    """The TOML text. Raises Refused where something is missing that only the author knows."""
    names = _feature_names(facts, sample, told.features)
    try:
        return draft(model, api_version, _columns(facts, names, sample), _answers(facts, told))
    except (DraftIncomplete, ColumnUnclear) as error:
        raise Refused(str(error)) from None


def model_name(stem: str) -> str:
    """The model's name that a file's name suggests. Raises Refused where it suggests none."""
    name = re.sub(r"[^a-z0-9]+", "_", stem.lower()).strip("_")[:63]
    if not re.match("[a-z]", name):
        raise Refused("no model's name can be made of the file's name: give one with --model churn")
    return name


def split_names(written: str, option: str) -> tuple[str, ...]:
    """`a,b,c` as names. Raises Refused for a blank or a doubled one."""
    names = tuple(name.strip() for name in written.split(","))
    if not all(names) or len(set(names)) != len(names):
        raise Refused(f"{option} takes different names with commas between them, such as {option} a,b,c")
    return names


def _feature_names(facts: "EstimatorFacts", sample: Sample | None, told: tuple[str, ...] | None) -> tuple[str, ...]:
    """In the estimator's order. An estimator's own names come before a sample's, since it knows their order."""
    names = told or facts.names or (sample.columns if sample else None)
    if names is None:
        raise Refused(
            "the estimator was fitted without names of columns: give them in its order"
            " with --sample rows.csv (a header and some rows) or --features age,income"
        )
    if facts.features is not None and len(names) != facts.features:
        given = "--features" if told else sample.origin if sample else "the estimator"
        raise Refused(
            f"the estimator was fitted on {facts.features} features, {given} names {len(names)}: give exactly those, in its order"
        )
    return names


def _columns(facts: "EstimatorFacts", names: Sequence[str], sample: Sample | None) -> list[Column]:
    if sample is None:
        return [unseen_column(name, text=facts.takes_text) for name in names]
    ordered = in_order(sample, names)
    known = frozenset(facts.texts)
    return [infer_column(name, ordered.column(name), text=facts.takes_text, known=known) for name in names]


def _answers(facts: "EstimatorFacts", told: Told) -> list[Answer]:
    if told.labels and not facts.classes:
        raise Refused("the estimator answers values, not classes: leave --labels out")
    if told.labels and len(told.labels) != len(facts.classes):
        raise Refused(f"the estimator classifies {len(facts.classes)} outputs: give --labels once for each, not {len(told.labels)} times")
    if told.targets and len(told.targets) != (facts.outputs if facts.outputs > 1 else 0):
        raise Refused(f"the estimator answers {facts.outputs} value{'s' * (facts.outputs > 1)} a row, --targets names {len(told.targets)}")
    return [
        Answer(
            classes=facts.classes[place] if facts.classes else None,
            names=told.labels[place] if told.labels else (),
            probabilities=facts.has_probabilities,
            target=told.targets[place] if told.targets else None,
        )
        for place in range(facts.outputs)
    ]
