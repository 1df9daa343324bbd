"""An estimator and all that is nested in it."""

from collections.abc import Iterator
from typing import Any

import numpy as np


def parts_of(root: Any) -> Iterator[Any]:
    """The estimator and everything of scikit-learn nested in it, through lists, tuples, dictionaries and object arrays."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        item = waiting.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list | tuple):
            waiting.extend(item)
        elif isinstance(item, np.ndarray):
            waiting.extend(item.ravel().tolist() if item.dtype == object else ())
        elif hasattr(item, "__dict__") and not isinstance(item, type) and (hasattr(item, "get_params") or _is_sklearn(item)):
            yield item
            waiting.extend(vars(item).values())


def _is_sklearn(item: Any) -> bool:
    return type(item).__module__.partition(".")[0] == "sklearn"
