"""Fillings in another unit: old × factor + offset."""

from collections.abc import Sequence
from fractions import Fraction
from math import ceil, floor

import numpy as np

from gatehouse.contracts.cells import Cell, Fault
from gatehouse.contracts.feature import EXACT_INTEGER_MAX, Feature
from gatehouse.contracts.reach import ends, written
from gatehouse.contracts.upgrade_columns import Column
from gatehouse.contracts.upgrade_fillings import Failed, Moved
from gatehouse.contracts.upgrade_rules import Rule


class Scaled(Moved):
    """Another unit: old × factor + offset, in doubles. A factor of 1/n divides by n, so that 3 mm are 0.3 cm."""

    def __init__(self, target: Feature, sources: Sequence[Feature], places: Sequence[int], rule: Rule) -> None:
        super().__init__(target, sources, places, rule)
        exact = written(rule.factor)
        self._divides = exact.numerator in (1, -1) and exact.denominator <= EXACT_INTEGER_MAX
        self._factor = float(1 / exact) if self._divides else float(rule.factor)
        self._offset = float(rule.offset)

    def made(self, cells: Sequence[Cell]) -> Cell | Fault:
        number = float(cells[0] or 0)
        return (number / self._factor if self._divides else number * self._factor) + self._offset

    def column(self, columns: Sequence[Column], rows: int) -> tuple[Column, list[Failed]]:
        with np.errstate(over="ignore", under="ignore"):  # infinity is out of every range
            made = (columns[0] / self._factor if self._divides else columns[0] * self._factor) + self._offset
        return self._judged(columns[0], made, self._outside(made))


class ScaledIntegers(Moved):
    """Another unit in whole numbers, computed exactly."""

    def __init__(self, target: Feature, sources: Sequence[Feature], places: Sequence[int], rule: Rule) -> None:
        super().__init__(target, sources, places, rule)
        self._factor, self._offset = int(rule.factor), int(rule.offset)
        low, high = (Fraction(int(end) - self._offset, self._factor) for end in ends(target))
        # judged by what goes in: of that every integer is exact, while a product may be beyond 64 bits
        self._low, self._high = _within_64_bits(ceil(min(low, high))), _within_64_bits(floor(max(low, high)))

    def made(self, cells: Sequence[Cell]) -> Cell | Fault:
        return int(cells[0] or 0) * self._factor + self._offset

    def column(self, columns: Sequence[Column], rows: int) -> tuple[Column, list[Failed]]:
        whole = np.where(np.isnan(columns[0]), 0, columns[0]).astype(np.int64)
        outside = (whole < self._low) | (whole > self._high)
        made = np.where(outside, 0, whole) * self._factor + self._offset
        return self._judged(columns[0], np.where(np.isnan(columns[0]), np.nan, made), outside)


def _within_64_bits(number: int) -> int:
    return max(-(2**62), min(2**62, number))
