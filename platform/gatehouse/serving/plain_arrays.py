"""Arrays as JSON, exact to the last bit of a double, for processes that must not hand each other pickles."""

from typing import Any

import numpy as np

_KINDS = frozenset("biufUO")


def to_plain(values: Any) -> dict[str, Any]:
    """An array of numbers, texts or plain objects, a sparse matrix, or a list of such arrays. Raises TypeError for others."""
    if isinstance(values, list) and all(isinstance(each, np.ndarray) for each in values):
        return {"list": [to_plain(each) for each in values]}
    if isinstance(values, list):
        return {"rows": values}
    array = np.asarray(values.toarray() if hasattr(values, "toarray") else values)
    if array.dtype.kind not in _KINDS:
        raise TypeError(f"an array of {array.dtype} has no plain form")
    return {"dtype": array.dtype.str, "shape": list(array.shape), "cells": array.ravel().tolist()}


def from_plain(plain: dict[str, Any]) -> Any:
    if "list" in plain:
        return [from_plain(each) for each in plain["list"]]
    if "rows" in plain:
        return plain["rows"]
    dtype = np.dtype(plain["dtype"])
    if dtype.kind not in _KINDS:
        raise TypeError(f"an array of {dtype} has no plain form")
    array = np.empty(len(plain["cells"]), dtype=dtype)
    array[:] = plain["cells"]
    return array.reshape(plain["shape"])
