"""How many bytes of array joblib writes behind the description of one (joblib/numpy_pickle.py, NumpyArrayWrapper)."""

import re
from dataclasses import dataclass
from typing import Any

from gatehouse.serving.pickle_stream import MAX_BYTES, PickleRefused
from gatehouse.serving.pickle_values import Made, Members

_WRAPPER = "NumpyArrayWrapper"
_OLD_WRAPPERS = frozenset({"NDArrayWrapper", "ZNDArrayWrapper"})
_ITEM = re.compile(r"(?P<kind>[biufcmMSUVO])(?P<size>\d{1,9})", re.ASCII)
_ANY_TEXT = "_convert_to_stringdtype_kwargs"
_HAS_OBJECTS = 1
"""NPY_ITEM_REFCOUNT, in the flags that a pickled dtype carries."""
_UNKNOWN = "the file describes an array in a way that cannot be read: save the fitted estimator again with joblib.dump"


@dataclass(frozen=True, slots=True)
class ArrayBytes:
    """What comes next in the file: `bytes` of numbers, or a pickle of objects. `padded`: behind a byte that counts padding."""

    bytes: int
    pickled: bool
    padded: bool


def array_behind(made: Any) -> ArrayBytes | None:
    """The array that an object describes once it has its state; None for every other object. Raises PickleRefused."""
    kind = made.kind if isinstance(made, Made) else None
    if kind is None or not kind.module.endswith("joblib.numpy_pickle" if kind.name == _WRAPPER else "joblib.numpy_pickle_compat"):
        return None
    if kind.name in _OLD_WRAPPERS:
        raise PickleRefused("the file was saved by joblib before 0.10: load it there and save it again with a newer joblib")
    if kind.name != _WRAPPER:
        return None
    named = made.state.named if isinstance(made.state, Members) else None
    if not named or not isinstance(named.get("dtype"), Made):
        raise PickleRefused(_UNKNOWN)
    if _holds_objects(named["dtype"]):
        return ArrayBytes(0, pickled=True, padded=False)
    count = _product(named.get("shape")) * _item_bytes(named["dtype"])
    if count > MAX_BYTES:
        raise PickleRefused(f"the file describes an array of more than {MAX_BYTES:,} bytes: publish a smaller model")
    return ArrayBytes(count, pickled=False, padded=named.get("numpy_array_alignment_bytes") is not None)


def _product(shape: Any) -> int:
    if not isinstance(shape, tuple) or len(shape) > 64:
        raise PickleRefused(_UNKNOWN)
    count = 1
    for size in shape:
        if not isinstance(size, int) or not 0 <= size <= MAX_BYTES:
            raise PickleRefused(_UNKNOWN)
        count *= size
    return count


def _item_bytes(dtype: Made) -> int:
    found = _ITEM.fullmatch(_code(dtype))
    if found is None:
        raise PickleRefused(_UNKNOWN)
    return int(found["size"]) * (4 if found["kind"] == "U" else 1)


def _holds_objects(dtype: Made) -> bool:
    """Also a structure with a field of objects, and texts of any length."""
    if dtype.kind is not None and dtype.kind.name == _ANY_TEXT:
        return True
    state = dtype.state
    flags = state[7] if isinstance(state, tuple) and len(state) > 7 else 0
    return _code(dtype).startswith("O") or (isinstance(flags, int) and bool(flags & _HAS_OBJECTS))


def _code(dtype: Made) -> str:
    """Such as `f8`, `U12` or `O8`."""
    code = dtype.arguments[0] if isinstance(dtype.arguments, tuple) and dtype.arguments else None
    if dtype.kind is None or dtype.kind.module != "numpy" or dtype.kind.name != "dtype" or not isinstance(code, str):
        raise PickleRefused(_UNKNOWN)
    return code
