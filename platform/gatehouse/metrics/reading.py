"""A number that some room keeps anyway, read when it is asked for."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from gatehouse.metrics.family import Family, Kind, Over


@dataclass(frozen=True, slots=True)
class Reading:
    """One metric without labels: how it is named and explained, and what reads it, in whichever thread."""

    name: str
    meaning: str
    read: Callable[[], float]
    counts: bool = False
    """Whether it only ever grows; its name then ends in `_total`."""
    over: Over = "sum"
    """What one that does not count is of several processes."""


def families_of(readings: Iterable[Reading]) -> Iterator[Family]:
    """What the readings say now."""
    for each in readings:
        kind: Kind = "counter" if each.counts else "gauge"
        yield Family(name=each.name, kind=kind, meaning=each.meaning, over=each.over, samples={(): (float(each.read()),)})
