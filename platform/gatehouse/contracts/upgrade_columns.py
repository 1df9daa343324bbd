"""A decoded matrix as one column for each field, and back.

A numeric column is float64 and null is NaN; any other holds Python objects and null is None.
"""

from collections.abc import Iterable, Sequence
from math import nan
from typing import Any, TypeAlias

import numpy as np

from gatehouse.contracts.cells import Cell
from gatehouse.contracts.fast_decode import FLOAT64, OBJECT, Matrix
from gatehouse.contracts.feature import NUMERIC_TYPES, Feature

Column: TypeAlias = np.ndarray[Any, Any]


def columns_of(features: Sequence[Feature], values: Matrix) -> list[Column]:
    """The columns of a matrix that was decoded by these features."""
    if values.dtype != OBJECT:
        return [values[:, place] for place in range(len(features))]
    return [_unboxed(feature, values[:, place]) for place, feature in enumerate(features)]


def matrix_of(features: Sequence[Feature], columns: Sequence[Column]) -> Matrix:
    """The matrix that decoding by these features would have delivered."""
    numeric = all(feature.type in NUMERIC_TYPES for feature in features)
    values: Matrix = np.empty((len(columns[0]), len(features)), FLOAT64 if numeric else OBJECT)
    for place, (feature, column) in enumerate(zip(features, columns, strict=True)):
        values[:, place] = column if numeric else object_array(cells_of(feature, column))
    return values


def cells_of(feature: Feature, column: Column) -> list[Cell]:
    """The cells as a row of this contract holds them: bool, int, float, str or None."""
    cells: list[Any] = column.tolist()
    if feature.type == "number":
        return [None if cell != cell else cell for cell in cells]
    if feature.type == "integer":
        return [None if cell != cell else int(cell) for cell in cells]
    if feature.type == "boolean":
        return [None if cell != cell else bool(cell) for cell in cells]
    return cells


def column_of(feature: Feature, cells: Iterable[Cell]) -> Column:
    """The column that holds these cells."""
    if feature.type in NUMERIC_TYPES:
        return np.array([nan if cell is None else cell for cell in cells], FLOAT64)
    return object_array(list(cells))


def object_array(cells: Sequence[Cell]) -> Column:
    """The cells as they are, never as an array of texts."""
    column = np.empty(len(cells), OBJECT)
    column[:] = cells
    return column


def _unboxed(feature: Feature, column: Column) -> Column:
    return column_of(feature, column.tolist()) if feature.type in NUMERIC_TYPES else column
