"""What an ONNX graph of mixed columns takes: a column for each feature, named by what it holds and where it stands in the contract.

A tensor has no null among its texts: NULL stands for it, in the graph as well. Texts that the estimator wants in lower case come so,
because what a graph does to letters depends on the machine that it runs on.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from gatehouse.serving.engine import Values

NULL = "\ufdd0null"
"""Begins with what Unicode promises never to make a character."""
_NO_NULL = "\ufdd1null"
_NAME = re.compile(r"(number|text|lower)_(0|[1-9][0-9]{0,4})")
_TYPES = {"number": "tensor(float)", "text": "tensor(string)", "lower": "tensor(string)"}

Holds = Literal["number", "text", "lower"]


@dataclass(frozen=True, slots=True)
class GraphInput:
    """One column; `lower` holds texts in lower case."""

    holds: Holds
    place: int

    @property
    def name(self) -> str:
        return f"{self.holds}_{self.place}"

    def of(self, values: Values) -> Any:
        """The column out of rows of objects. Raises FloatingPointError for a number beyond float32."""
        cells = values[:, [self.place]]
        if self.holds == "number":
            with np.errstate(over="raise"):
                return cells.astype(np.float64).astype(np.float32)
        column = np.empty(cells.shape, dtype=object)
        column[:, 0] = [self._text(cell) for cell in cells[:, 0]]
        return column

    def _text(self, cell: str | None) -> str:
        if cell is None:
            return NULL
        if cell == NULL:  # a caller's text is never taken for null
            return _NO_NULL
        return cell.lower() if self.holds == "lower" else cell


def inputs_for(features: int, texts: Sequence[int], lower: Sequence[int] = ()) -> list[GraphInput]:
    """Those of a contract, in its order."""
    return [GraphInput(_holds(place, texts, lower), place) for place in range(features)]


def inputs_of(found: Sequence[Any], features: int, texts: Sequence[int]) -> list[GraphInput] | None:
    """Those of a session, which may leave out columns that it does not need; None where they do not fit the contract."""
    matched = [_NAME.fullmatch(each.name) for each in found]
    inputs = [GraphInput(match[1], int(match[2])) for match in matched if match is not None]  # type: ignore[arg-type]  # one of three
    expected = {each.name for lower in ((), texts) for each in inputs_for(features, texts, lower)}
    fits = all(each.type == _TYPES[made.holds] and list(each.shape[1:]) == [1] for each, made in zip(found, inputs, strict=False))
    names = {each.name for each in inputs}
    once = len({each.place for each in inputs}) == len(found)
    return inputs if inputs and once and fits and names <= expected else None


def _holds(place: int, texts: Sequence[int], lower: Sequence[int]) -> Holds:
    if place not in texts:
        return "number"
    return "lower" if place in lower else "text"
