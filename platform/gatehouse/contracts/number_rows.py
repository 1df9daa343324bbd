"""Lists of numbers to a matrix, by simdjson: it makes no object of a number, and the bounds are held against whole columns.

It takes numbers alone, and says nothing of where one list ends and the next begins: so lists within a row, and rows that are not as long as
the others, are looked for here. What is not proven good is None, for another decoder to judge.
"""

import threading
from collections.abc import Sequence
from math import inf, nextafter
from typing import Any, cast

import numpy as np
import simdjson

from gatehouse.contracts.feature import EXACT_INTEGER_MAX, Feature

Matrix = np.ndarray[Any, Any]
NOT_NUMBERS = (ValueError, TypeError, RuntimeError)
"""What simdjson raises: no JSON, something else than numbers, and a number that no float can hold."""


class _Own(threading.local):
    """A thread's parser, whose buffers serve one text after the other."""

    def __init__(self) -> None:
        self.parser = simdjson.Parser()


_OWN = _Own()


class NumberRows:
    """Rows whose cells are these features, in this order; see `fits`."""

    def __init__(self, features: Sequence[Feature]) -> None:
        self._width = len(features)
        self._lowest = np.array([_inclusive(*feature.lowest, inf) for feature in features])
        self._highest = np.array([_inclusive(*feature.highest, -inf) for feature in features])
        self._integers = [place for place, feature in enumerate(features) if feature.type == "integer"]
        # from there on an integer may have been rounded
        self._lowest[self._integers] = np.maximum(self._lowest[self._integers], 1 - EXACT_INTEGER_MAX)
        self._highest[self._integers] = np.minimum(self._highest[self._integers], EXACT_INTEGER_MAX - 1)

    @staticmethod
    def fits(features: Sequence[Feature]) -> bool:
        """Whether all of them are numbers that must be there."""
        return all(feature.type in ("number", "integer") and not feature.nullable for feature in features)

    def read(self, text: bytes) -> Matrix | None:
        """The rows of a JSON list of lists as float64, each number within its bounds and each integer whole; None where they are not."""
        try:
            rows: Any = _OWN.parser.parse(text)
            height = len(rows)
            if text.count(b"[") != 1 + height or {*map(len, rows)} != {self._width}:
                return None
            numbers = np.frombuffer(rows.as_buffer(of_type="d"), np.float64)
        except NOT_NUMBERS:
            return None
        matrix = numbers.reshape(height, self._width)
        within = ((matrix >= self._lowest) & (matrix <= self._highest)).all()
        whole = not self._integers or not (matrix[:, self._integers] % 1).any()
        return cast(Matrix, matrix) if within and whole else None


def _inclusive(bound: float, exclusive: bool, inwards: float) -> float:
    """The outermost float that an exclusive bound lets in."""
    return nextafter(bound, inwards) if exclusive else float(bound)
