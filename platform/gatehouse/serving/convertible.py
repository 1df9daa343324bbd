"""An estimator of mixed columns as its converter takes it: the same answers, with nulls and letters settled outside of the graph."""

from collections.abc import Iterator
from math import isnan
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer

from gatehouse.serving.estimator_parts import parts_of
from gatehouse.serving.graph_inputs import NULL

_WORDS = {
    r"(?u)\b\w\w+\b": r"[\p{L}\p{N}_]{2,}",
    r"(?u)\b\w+\b": r"[\p{L}\p{N}_]+",
    r"\b\w+\b": r"[\p{L}\p{N}_]+",
    r"\w+": r"[\p{L}\p{N}_]+",
}
"""Python's patterns of words to those of RE2, whose `\\w` knows ASCII only."""


def lower_columns(estimator: Any) -> list[int]:
    """Columns that nothing reads but text vectorizers that want lower case; these take texts as they come from now on."""
    found: dict[int, list[Any]] = {}
    for place, reader in _readers(estimator):
        found.setdefault(place, []).append(reader)
    lower = {place: readers for place, readers in found.items() if all(getattr(reader, "lowercase", False) for reader in readers)}
    for readers in lower.values():
        for reader in readers:
            reader.lowercase = False
    return sorted(lower)


def spell_nulls(estimator: Any) -> None:
    """Imputers and encoders of texts know null by the text that stands for it in a graph."""
    for part in parts_of(estimator):
        filled, missing = getattr(part, "statistics_", None), getattr(part, "missing_values", "")
        if isinstance(filled, np.ndarray) and filled.dtype == object and _is_null(missing):
            part.missing_values = NULL
        known = getattr(part, "categories_", None)
        if isinstance(known, list):
            part.categories_ = [_spelled(np.asarray(each)) for each in known]


def word_patterns(estimator: Any) -> dict[int, dict[str, Any]]:
    """Options of the converter for text vectorizers, by the identity of each."""
    found = {id(part): _WORDS.get(part.token_pattern) for part in parts_of(estimator) if hasattr(part, "token_pattern")}
    return {part: {"tokenexp": pattern} for part, pattern in found.items() if pattern is not None}


def _readers(estimator: Any) -> Iterator[tuple[int, Any]]:
    """Each column of the table with each step that reads it first."""
    first = _first_step(estimator)
    if not isinstance(first, ColumnTransformer):
        yield 0, first
        return
    for _, step, columns in first.transformers_:
        reader = _first_step(step)
        for place in columns if isinstance(columns, list) else [columns]:
            if not (isinstance(step, str) and step == "drop"):
                yield place, reader


def _first_step(estimator: Any) -> Any:
    while getattr(estimator, "steps", None):
        estimator = estimator.steps[0][1]
    return estimator


def _spelled(categories: Any) -> Any:
    if categories.dtype != object or not any(isinstance(cell, str) for cell in categories):
        return categories
    return np.array([NULL if _is_null(cell) else cell for cell in categories], dtype=object)


def _is_null(cell: Any) -> bool:
    return cell is None or (isinstance(cell, float) and isnan(cell))
