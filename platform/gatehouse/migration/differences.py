"""How another version's answers differ from those that callers got: both as callers of the older API version see them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatehouse.migration.shift_buckets import bounded_shifts

Answer = Mapping[str, Any]
"""`label` and `confidence`, or `value`; of several targets one such under each name. Numbers are rounded as callers see them."""


@dataclass(frozen=True, slots=True)
class Differences:
    """Shape (rows,) each. A shift is the other answer's confidence in its own label less the live one's in its own; or of the values."""

    disagreed: NDArray[np.bool_]
    shifts: NDArray[np.float64]


def differences(live: Sequence[Answer], other: Sequence[Answer], targets: Sequence[str] = ()) -> Differences:
    """Row by row, of at least one row. With `targets`, rows disagree where any target does, and the shift is that of the first."""
    if not targets:
        return _of_one(live, other)
    each = [_of_one([row[name] for row in live], [row[name] for row in other]) for name in targets]
    return Differences(np.any([found.disagreed for found in each], axis=0), each[0].shifts)


def _of_one(live: Sequence[Answer], other: Sequence[Answer]) -> Differences:
    number = "value" if "value" in live[0] else "confidence"
    before, after = (np.array([row[number] for row in rows], np.float64) for rows in (live, other))
    with np.errstate(over="ignore"):
        shifts = bounded_shifts(after - before)
    if number == "value":
        return Differences(before != after, shifts)
    labels = zip(live, other, strict=True)
    return Differences(np.fromiter((was["label"] != now["label"] for was, now in labels), np.bool_, len(live)), shifts)
