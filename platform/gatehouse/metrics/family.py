"""A metric family with its samples, and how those of several processes become one."""

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

PREFIX = "gatehouse_"
Kind = Literal["counter", "gauge", "histogram"]
Over = Literal["sum", "max", "min"]
Labels = tuple[str, ...]
Values = tuple[float, ...]


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """All samples of one name. It explains itself, so that whoever reads it need not be the version that wrote it."""

    name: str
    """Without the prefix; of a counter it ends in `_total`."""
    kind: Kind
    meaning: str
    over: Over = "sum"
    """What a gauge of several processes is; counters and histograms are always added up."""
    labels: Labels = ()
    buckets: Values = ()
    """Upper bounds of a histogram, rising; the last bucket has none."""
    samples: dict[Labels, Values]
    """By the values of `labels`: one number, or of a histogram the count of each bucket, then the sum of what was observed."""


def combined(living: Iterable[Sequence[Family]], ended: Iterable[Sequence[Family]]) -> list[Family]:
    """One family for each name: of processes that have ended counts only."""
    found: dict[str, Family] = {}
    for families in living:
        for family in families:
            found[family.name] = _added(found.get(family.name), family)
    for families in ended:
        for family in families:
            if family.kind != "gauge":
                found[family.name] = _added(found.get(family.name), family)
    return list(found.values())


def _added(one: Family | None, other: Family) -> Family:
    """Where the two are not of one shape, which a new version may change, the one that was there first."""
    if one is None:
        return other
    if (one.kind, one.labels, one.buckets) != (other.kind, other.labels, other.buckets):
        return one
    samples = dict(one.samples)
    for labels, values in other.samples.items():
        before = samples.get(labels)
        samples[labels] = values if before is None else _together(one, before, values)
    return msgspec.structs.replace(one, samples=samples)


def _together(family: Family, one: Values, other: Values) -> Values:
    if family.kind == "gauge" and family.over != "sum":
        return (max if family.over == "max" else min)(one, other)
    return tuple(a + b for a, b in zip(one, other, strict=True))
