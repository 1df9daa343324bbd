"""Estimators that were fitted on data frames, made to take plain arrays: whoever serves them has no pandas, and rows have no names.

A table of mixed columns is an array of objects. What scikit-learn reads off a data frame's names and types is settled here instead:
columns are found by position, numbers are numbers for functions as well, and a missing text is spelled as it was at the fit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import isnan, nan
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import FunctionTransformer

from gatehouse.serving.estimator_parts import parts_of

_FRAMES = frozenset({"pandas", "polars", "pyarrow"})


def of_data_frames(module: str) -> bool:
    """Whether a module belongs to a library of data frames."""
    return module.partition(".")[0] in _FRAMES


def by_position(estimator: Any) -> None:
    """Columns are found by their position from now on, and no step makes or keeps a data frame. Changes the estimator."""
    for part in list(parts_of(estimator)):
        state = vars(part)
        state.pop("_sklearn_output_config", None)
        if type(state.get("missing_values")).__name__ == "NAType":  # what only pandas knows comes as NaN
            part.missing_values = nan
        if isinstance(part, ColumnTransformer):
            _find_by_position(part)


def without_names(estimator: Any) -> None:
    """By position, and ready to be scored: nothing warns of missing names, functions get numbers. Changes the estimator."""
    by_position(estimator)
    for part in parts_of(estimator):
        # rows come as arrays in the contract's order; a memory of column names would only warn at every call
        vars(part).pop("feature_names_in_", None)
        if isinstance(part, FunctionTransformer) and part.func is not None and not isinstance(part.func, _OnNumbers):
            part.func = _OnNumbers(part.func)


def missing_text(estimator: Any) -> float | None:
    """How the estimator knows a missing text: as None, or as NaN, which is what data frames make of it."""
    if hasattr(estimator, "missing_text"):  # it is loaded elsewhere
        told: float | None = estimator.missing_text
        return told
    parts = [vars(part) for part in parts_of(estimator)]
    known = [cell for part in parts for each in _categories(part) for cell in each]
    filled = [part.get("missing_values", nan) for part in parts if _fills(part)]
    if None in known or None in filled:
        return None
    return nan if any(isinstance(cell, float) and isnan(cell) for cell in [*known, *filled]) else None


def _categories(part: dict[str, Any]) -> list[list[Any]]:
    """Of an encoder, for each of its columns."""
    found = part.get("categories_")
    return [np.ravel(each).tolist() for each in found] if isinstance(found, list) else []


def _fills(part: dict[str, Any]) -> bool:
    """Whether it is an imputer of texts."""
    filled = part.get("statistics_")
    return isinstance(filled, np.ndarray) and filled.dtype == object


def _find_by_position(columns: ColumnTransformer) -> None:
    """A fitted one knows the positions of its columns; of one that is a mere template only pandas' own lists are made plain."""
    places = vars(columns).get("_transformer_to_input_indices", {})
    for attribute in ("transformers", "transformers_"):
        listed = vars(columns).get(attribute)
        if listed is not None:
            setattr(columns, attribute, [(name, each, _positions(asked, places.get(name))) for name, each, asked in listed])
    if places:
        columns._columns = [asked for _, _, asked in columns.transformers]


def _positions(asked: Any, places: Any) -> Any:
    if places is None:
        return asked.tolist() if hasattr(asked, "tolist") else asked
    return places[0] if np.isscalar(asked) and len(places) == 1 else list(map(int, places))


@dataclass(frozen=True)
class _OnNumbers:
    """A function for numbers, which cannot work on numbers that are objects among texts."""

    function: Callable[..., Any]

    def __call__(self, table: Any, **options: Any) -> Any:
        if isinstance(table, np.ndarray) and table.dtype == object and not any(isinstance(cell, str) for cell in table.flat):
            table = table.astype(np.float64)
        return self.function(table, **options)
