"""Fillings of values that are looked up or taken apart: mapped categories, parts of a text, joined texts."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from gatehouse.contracts.cells import KIND_OF_TYPE, MOST_ALLOWED_LISTED, Cell, Fault, cell_check
from gatehouse.contracts.feature import Feature, Value
from gatehouse.contracts.reach import ends, listed
from gatehouse.contracts.upgrade_fillings import Filling
from gatehouse.contracts.upgrade_rules import Rule

NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
LONGEST_INTEGER = 18
"""Characters; anything longer is out of every range."""
MAX_COMBINATIONS = 10_000


def key_of(cell: Cell) -> str:
    """How a value stands in the `values` of a rule, whose keys are texts."""
    return str(cell).lower() if isinstance(cell, bool) else str(cell)


class Mapped(Filling):
    """Each of the old values has a new one."""

    def __init__(self, target: Feature, sources: Sequence[Feature], places: Sequence[int], rule: Rule) -> None:
        super().__init__(target, sources, places, rule)
        known, said = listed(self.sources[0]) or (), dict(rule.values)
        self._values: Mapping[Cell, Value] = {cell: said[key_of(cell)] for cell in known if key_of(cell) in said}
        keys = list(said)
        self._unknown = Fault("not_allowed", "is not said for this value", {"mapped": keys[:MOST_ALLOWED_LISTED]})

    def made(self, cells: Sequence[Cell]) -> Cell | Fault:
        return self._values.get(cells[0], self._unknown)

    def corners(self) -> Iterator[tuple[Cell, ...]]:
        yield from ((cell,) for cell in listed(self.sources[0]) or ())


class Part(Filling):
    """One of the parts of a text around a separator; `place` counts from 0, `parts` is how many there must be."""

    def __init__(self, target: Feature, sources: Sequence[Feature], places: Sequence[int], rule: Rule) -> None:
        super().__init__(target, sources, places, rule)
        self._separator, self.parts = rule.separator, len(rule.targets)
        self.place = rule.targets.index(target.name)
        detail = f"is part {self.place + 1} of exactly {self.parts} with '{self._separator}' between them"
        self._wrong_parts = Fault("wrong_parts", detail, {"parts": self.parts, "separator": self._separator})
        self._wrong_type = Fault("wrong_type", f"must be {KIND_OF_TYPE[target.type]}", {"type": target.type})

    def made(self, cells: Sequence[Cell]) -> Cell | Fault:
        parts = str(cells[0]).split(self._separator)
        return self._value(parts[self.place]) if len(parts) == self.parts else self._wrong_parts

    def _value(self, text: str) -> Cell | Fault:
        if self.target.type not in ("number", "integer"):
            return text
        if not NUMBER.fullmatch(text):
            return self._wrong_type
        if text.removeprefix("-").isdigit() and len(text) <= LONGEST_INTEGER:
            return int(text)
        return float(text)

    def corners(self) -> Iterator[tuple[Cell, ...]]:
        source = self.sources[0]
        if source.allowed is not None:
            yield from ((cell,) for cell in source.allowed)
            return
        taken = cell_check(source)
        for text in ("", *map(self._around, self._awkward(source.max_length or 0))):
            if not isinstance(taken(text), Fault):
                yield (text,)

    def _awkward(self, longest: int) -> Iterator[str]:
        """Parts that a free text may have; without the separator, whatever that is."""
        letter = next(each for each in "xyzabcdefghijklmnopq" if each not in self._separator)
        yield letter
        yield letter * (longest - (self.parts - 1) * len(self._separator))
        if self.target.type in ("number", "integer"):
            low, high = ends(self.target)
            yield from ("1e99", "-1e99", str(int(high) + 1), str(int(low) - 1), "0.5")

    def _around(self, part: str) -> str:
        return self._separator.join(part if place == self.place else "" for place in range(self.parts))


class Joined(Filling):
    """Several fields as one text, with a separator between them."""

    def __init__(self, target: Feature, sources: Sequence[Feature], places: Sequence[int], rule: Rule) -> None:
        super().__init__(target, sources, places, rule)
        self._separator = rule.separator

    def made(self, cells: Sequence[Cell]) -> Cell | Fault:
        return self._separator.join(map(str, cells))

    def corners(self) -> Iterator[tuple[Cell, ...]]:
        if self.target.type == "text":  # which fails by its length alone
            yield tuple(max(_widest(feature), key=lambda cell: len(str(cell))) for feature in self.sources)
        else:
            yield from product(*(listed(feature) or () for feature in self.sources))


def combinations(sources: Sequence[Feature]) -> int | None:
    """How many different rows these fields have, None where they cannot be listed."""
    number = 1
    for values in map(listed, sources):
        if values is None:
            return None
        number *= len(values)
    return number


def _widest(feature: Feature) -> tuple[Cell, ...]:
    if feature.type == "text":
        return ("x" * (feature.max_length or 0),)
    return ends(feature) if feature.type == "integer" else feature.allowed or ()
