"""What a publisher must know before publishing: which training rows leave with the model."""

from collections.abc import Sequence
from typing import Any

from gatehouse.serving.embedded_data import embedded_data
from gatehouse.serving.estimator_elsewhere import EstimatorElsewhere
from gatehouse.serving.fit import PublishRefused
from gatehouse.serving.manifest import EmbeddedData
from gatehouse.serving.options import PublishOptions

MOST_NAMED = 4
"""Findings in one line of refusal."""


def check_embedded_data(estimator: Any, options: PublishOptions) -> tuple[EmbeddedData, ...]:
    """What the estimator keeps of its training rows. Raises PublishRefused where there is some and it is not accepted.

    The engine does not matter: a graph holds the same numbers.
    """
    if isinstance(estimator, EstimatorElsewhere):
        findings = estimator.embedded_data(options.training_rows)
    else:
        findings = embedded_data(estimator, options.training_rows)
    found = tuple(EmbeddedData(each.place, each.what, each.rows) for each in findings)
    if found and not options.accept_embedded_data:
        raise PublishRefused(
            f"the estimator keeps training data, which anybody with the model has too: {described(found)};"
            " add --accept-embedded-data if whoever gets the model file may see these rows, or train an estimator that keeps none"
        )
    return found


def described(found: Sequence[EmbeddedData]) -> str:
    """One line for people: the first few places, and how many more."""
    named = ", ".join(f"{each.place} ({each.rows:,} {each.what})" for each in found[:MOST_NAMED])
    return f"{named} and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else named
