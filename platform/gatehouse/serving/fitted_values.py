"""Everything that a fitted estimator holds: arrays and lists of numbers, each with its place, however deep they lie."""

import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

_SCALARS = (bool, int, float, complex, str, bytes, type(None), np.generic)
_CLOSED = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType, np.dtype)
"""What holds code and no fitted values."""


@dataclass(frozen=True, slots=True, eq=False)
class FittedValue:
    """An array, sparse matrix, data frame, search tree, or list of plain values. `owners` are the objects around it, outermost first."""

    path: str
    attribute: str
    value: Any
    owners: tuple[Any, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Item:
    path: str
    attribute: str
    value: Any
    owners: tuple[Any, ...]

    def inside(self, suffix: str, value: Any) -> "_Item":
        return _Item(self.path + suffix, self.attribute, value, self.owners)


def fitted_values(root: Any) -> Iterator[FittedValue]:
    """Each once, through attributes, slots, lists, tuples, dictionaries, object arrays and partial functions of any nesting."""
    seen: set[int] = set()
    waiting = [_Item("", "", root, ())]
    while waiting:
        item = waiting.pop()
        if isinstance(item.value, _SCALARS + _CLOSED) or id(item.value) in seen:
            continue
        seen.add(id(item.value))
        if is_search_tree(item.value) or _is_data(item.value):
            yield FittedValue(item.path, item.attribute, item.value, item.owners)
        else:
            waiting.extend(reversed([*_inside(item)]))


def attributes_of(holder: Any) -> dict[str, Any]:
    """What an object holds by name, in slots as well; never calls a property."""
    names = [name for each in type(holder).__mro__ for name in _slots(each)]
    held = {name: getattr(holder, name) for name in names if hasattr(holder, name)}
    return held | dict(getattr(holder, "__dict__", {}))


def is_search_tree(value: Any) -> bool:
    """Whether it is a KDTree or BallTree of scikit-learn or SciPy, whose `data` are its rows."""
    return any(each.__name__ in ("KDTree", "BallTree", "cKDTree") for each in type(value).__mro__) and hasattr(value, "data")


def length_of(value: Any) -> int:
    """Its number of rows."""
    if is_search_tree(value):
        return len(np.asarray(value.data))
    return int(value.shape[0]) if hasattr(value, "shape") else len(value)


def _slots(each: type) -> tuple[str, ...]:
    named = each.__dict__.get("__slots__", ())
    return (named,) if isinstance(named, str) else tuple(name for name in named if not name.startswith("__"))


def _is_data(value: Any) -> bool:
    """An array of plain values, dense or sparse, a data frame, or a list of plain values or of such lists."""
    if isinstance(value, list | tuple):
        return bool(value) and all(map(_is_plain, value))
    shape = getattr(value, "shape", None)
    if not isinstance(shape, tuple) or not shape or not all(isinstance(size, int) for size in shape):
        return False
    return not isinstance(value, np.ndarray) or value.dtype != object or all(isinstance(each, _SCALARS) for each in value.flat)


def _is_plain(value: Any) -> bool:
    return isinstance(value, _SCALARS) or (isinstance(value, list | tuple) and all(isinstance(each, _SCALARS) for each in value))


def _inside(item: _Item) -> Iterator[_Item]:
    value = item.value
    if isinstance(value, dict):
        yield from (item.inside(f"[{key!r}]" if isinstance(key, str | int) else "[…]", each) for key, each in value.items())
    elif isinstance(value, list | tuple | set | frozenset):
        yield from (item.inside(f"[{place}]", each) for place, each in enumerate(value))
    elif isinstance(value, np.ndarray):
        yield from (item.inside(f"[{place}]", each) for place, each in enumerate(value.flat))
    elif isinstance(value, types.MappingProxyType):
        yield item.inside("", dict(value))
    else:
        yield from _held_by(item)


def _held_by(item: _Item) -> Iterator[_Item]:
    holder = item.value
    path = f"{item.path}.{type(holder).__name__}".lstrip(".")
    held = attributes_of(holder)
    if hasattr(holder, "func") and hasattr(holder, "keywords"):  # a functools.partial shows neither in its dictionary
        held |= {"args": holder.args, "keywords": holder.keywords}
    for name, value in held.items():
        yield _Item(f"{path}.{name}", name, value, (*item.owners, holder))
