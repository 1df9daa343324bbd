"""The fast road for good bodies: msgspec with the contract compiled into it. It accepts only what strict_decode accepts.

msgspec lets duplicate keys pass. A body without a backslash has exactly as many colons as it has keys, plus those inside
strings; where that equals the fields that were found, no key can stand twice. Anything else is left to the strict road.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain
from typing import Annotated, Any, Literal, Optional, TypeAlias

import msgspec
import numpy as np
from msgspec import UNSET, Meta, Raw, UnsetType
from msgspec.structs import astuple

from gatehouse.contracts.contract import Contract
from gatehouse.contracts.feature import EXACT_INTEGER_MAX, Feature
from gatehouse.contracts.number_rows import NumberRows
from gatehouse.contracts.pause import Pause
from gatehouse.contracts.row_slices import SLICE_BYTES, cut

Matrix = np.ndarray[Any, Any]
Rows = Sequence[Sequence[Any]]
Asked: TypeAlias = tuple[tuple[str, ...], tuple[str, ...] | None, bool]
"""The outputs asked for, the columns as sent (None: records), and whether the body itself names outputs."""
Found: TypeAlias = tuple[Matrix, tuple[str, ...], tuple[str, ...] | None, bool]
"""Values (rows × features), and what is asked of them."""

FLOAT64 = np.dtype(np.float64)
OBJECT = np.dtype(object)
NOT_DECODED = (msgspec.MsgspecError, ValueError, RecursionError)
_NOTHING_ELSE = [UNSET] * 3
"""Neither columns nor data nor outputs."""
SEARCHED_BYTES = 4 * 1024 * 1024
"""In one step, for one character; takes about 0.2 ms."""
LEAST_NUMBER_BYTES = 2048
"""Of a body whose rows of numbers are read without making an object of each; a smaller one is read sooner by making them."""
MOST_COLUMN_ORDERS = 16
"""Compiled decoders kept for the columns shape. A partner's program has one order."""


class FastDecoder:
    """Bytes to a matrix by one contract; None wherever the body cannot be proven good."""

    def __init__(self, contract: Contract, slice_bytes: int = SLICE_BYTES) -> None:
        self._slice_bytes = slice_bytes
        self._features = contract.features
        self._width = len(contract.features)
        self._dtype = FLOAT64 if contract.numeric else OBJECT
        self._returns = contract.output.returns
        self._asked_by_default = self._asked(UNSET, UNSET)
        self._matrix = _numbers if contract.numeric else _objects
        self._defaults = tuple(feature.default for feature in contract.features)
        self._texts = tuple(index for index, feature in enumerate(contract.features) if feature.type in ("text", "category"))
        # a float64 matrix holds integers as they come; an object matrix shall hold Python's int
        self._integers = [index for index, feature in enumerate(contract.features) if feature.type == "integer"]
        self._index = {name: index for index, name in enumerate(contract.names)}
        self._required = frozenset(feature.name for feature in contract.features if feature.required)
        # the colons of a default that was filled in are not the body's
        self._may_fill = not any(isinstance(default, str) and ":" in default for default in self._defaults)
        record = _record_type(contract)
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(_body_type(contract, record)).decode
        self._decode_records: Callable[[bytes], list[Any]] = msgspec.json.Decoder(list[record]).decode  # type: ignore[valid-type]
        self._by_order: dict[tuple[str, ...], Columns] = {}

    def decode(self, body: bytes, max_rows: int) -> Found | None:
        """What the body holds, or None."""
        if b"\\" in body or (len(body) > 2 * max_rows and _looks_too_long(body, max_rows)):
            return None
        try:
            records, *others = astuple(self._decode(body))
            if records and others == _NOTHING_ELSE:
                found, asked = self._from_records(body, 1, records), self._asked_by_default
            else:
                found, asked = self._otherwise(body, records, *others)
        except NOT_DECODED:
            return None
        return None if found is None or len(found) > max_rows else (found, *asked)

    def _otherwise(self, body: bytes, records: Any, columns: Any, data: Any, outputs: Any) -> tuple[Matrix | None, Asked]:
        """Of a body that does not just say its records, at least one of them."""
        keys, found = 1 if outputs is UNSET else 2, None
        if columns is UNSET and data is UNSET and records is not UNSET:
            found = self._from_records(body, keys, records)
        elif columns is not UNSET and data is not UNSET and records is UNSET:
            found = self._from_columns(body, 1 + keys, tuple(columns), data)
        return found if found is not None and len(found) else None, self._asked(columns, outputs)

    def decode_in_steps(self, body: bytes, max_rows: int, pause: Pause) -> Found | None:
        """The same, some rows at a time. None also where the body cannot be cut between its rows."""
        taken = None if _holds_backslash(body, pause) else cut(body)
        if taken is None:
            return None
        try:
            records, columns, data, outputs = astuple(self._decode(taken.frame))
            read = self._reader(taken.frame, 1 if outputs is UNSET else 2, records, columns, data)
            if read is None:
                return None
            slices: list[Matrix] = []
            rows = 0
            for part in taken.slices(self._width, self._slice_bytes):
                matrix = read(part) if part else None
                rows += 0 if matrix is None else len(matrix)
                if matrix is None or not len(matrix) or rows > max_rows:
                    return None
                slices.append(matrix)
                pause()
        except NOT_DECODED:
            return None
        return _joined(slices, rows, self._width, self._dtype, pause), *self._asked(columns, outputs)

    def _asked(self, columns: Any, outputs: Any) -> Asked:
        returns = self._returns if outputs is UNSET else tuple(name for name in self._returns if name in outputs)
        return returns, None if columns is UNSET else tuple(columns), outputs is not UNSET

    def _reader(self, frame: bytes, keys: int, records: Any, columns: Any, data: Any) -> Callable[[bytes], Matrix | None] | None:
        """What reads a slice of the rows that belong into this frame; None for a frame that is no body."""
        if records == [] and columns is UNSET and data is UNSET:
            return self._records_of if frame.count(b":") == keys else None
        if records is not UNSET or columns is UNSET or data is UNSET or bytes(data) != b"[]" or frame.count(b":") != 1 + keys:
            return None
        names = tuple(columns)
        return partial(self._data_of, names) if self._columns(names) else None

    def _records_of(self, part: bytes) -> Matrix | None:
        return self._from_records(part, 0, self._decode_records(part))

    def _data_of(self, names: tuple[str, ...], part: bytes) -> Matrix | None:
        return self._from_columns(part, 0, names, part)

    def _from_records(self, body: bytes, keys: int, records: Sequence[Any]) -> Matrix | None:
        """`keys` are those of the body that are no record's. None also where what was left out cannot be filled in."""
        try:
            matrix = self._matrix(map(astuple, records), len(records), self._width)
            keys += matrix.size
        except TypeError:  # a field that was left out is no number
            if not self._may_fill:
                return None
            matrix, present = self._with_defaults(list(map(astuple, records)))
            keys += present
        return self._proven(body, keys, matrix)

    def _from_columns(self, body: bytes, keys: int, names: tuple[str, ...], data: Any) -> Matrix | None:
        columns = self._columns(names)
        if columns is None:
            return None
        if columns.numbers is not None and len(body) >= LEAST_NUMBER_BYTES:
            matrix = columns.numbers.read(bytes(data))
            if matrix is None:
                return None
        else:
            rows = columns.decode(data)
            matrix = self._matrix(rows, len(rows), len(names))
        return self._proven(body, keys, self._in_contract_order(names, matrix))

    def _proven(self, body: bytes, keys: int, matrix: Matrix) -> Matrix | None:
        """The matrix as it goes on; None where so many keys and the texts do not account for every colon of the body."""
        surplus = body.count(b":") - keys
        if surplus and surplus != sum(text.count(":") for index in self._texts for text in matrix[:, index] if text is not None):
            return None
        return self._finished(matrix) if self._integers else matrix

    def _with_defaults(self, rows: list[tuple[Any, ...]]) -> tuple[Matrix, int]:
        absent = sum(row.count(UNSET) for row in rows)
        filled = [[default if cell is UNSET else cell for cell, default in zip(row, self._defaults, strict=True)] for row in rows]
        return self._matrix(filled, len(rows), self._width), len(rows) * self._width - absent

    def _in_contract_order(self, names: tuple[str, ...], matrix: Matrix) -> Matrix:
        order = [self._index[name] for name in names]
        if order == list(range(self._width)):
            return matrix
        ordered = np.empty((len(matrix), self._width), self._dtype)
        if len(order) < self._width:
            ordered[:] = np.array(self._defaults, self._dtype)
        ordered[:, order] = matrix
        return ordered

    def _finished(self, matrix: Matrix) -> Matrix:
        if self._dtype is FLOAT64:
            matrix[:, self._integers] += 0.0  # -0.0 is no integer of its own
        else:
            for index in self._integers:
                matrix[:, index] = [None if cell is None else int(cell) for cell in matrix[:, index]]
        return matrix

    def _columns(self, names: tuple[str, ...]) -> "Columns | None":
        return self._by_order.get(names) or self._compile(names)

    def _compile(self, names: tuple[str, ...]) -> "Columns | None":
        if not names or len(set(names)) != len(names) or not self._required <= set(names) or any(name not in self._index for name in names):
            return None
        if len(names) < self._width and not self._may_fill:
            return None
        if len(self._by_order) >= MOST_COLUMN_ORDERS:
            self._by_order.clear()
        self._by_order[names] = columns = Columns([self._features[self._index[name]] for name in names])
        return columns


class Columns:
    """What reads the rows of one order of columns. `numbers`: also where all of them are numbers that must be there."""

    def __init__(self, features: Sequence[Feature]) -> None:
        cells = tuple(_cell_type(feature) for feature in features)
        self.decode: Callable[[Any], list[tuple[Any, ...]]] = msgspec.json.Decoder(list[tuple[cells]]).decode  # type: ignore[valid-type]
        self.numbers = NumberRows(features) if NumberRows.fits(features) else None


def _numbers(rows: Iterable[Sequence[Any]], height: int, width: int) -> Matrix:
    """Raises TypeError where a field was left out; NumPy makes NaN of None."""
    return np.fromiter(chain.from_iterable(rows), FLOAT64, height * width).reshape(height, width)


def _objects(rows: Iterable[Sequence[Any]], height: int, width: int) -> Matrix:
    """Raises TypeError where a field was left out."""
    cells = list(chain.from_iterable(rows))
    if UNSET in cells:
        raise TypeError("a field was left out")
    matrix = np.empty(len(cells), OBJECT)
    matrix[:] = cells
    return matrix.reshape(height, width)


def _holds_backslash(body: bytes, pause: Pause) -> bool:
    for at in range(0, len(body), SEARCHED_BYTES):
        if body.find(b"\\", at, at + SEARCHED_BYTES) >= 0:
            return True
        pause()
    return False


def _joined(slices: list[Matrix], rows: int, width: int, dtype: "np.dtype[Any]", pause: Pause) -> Matrix:
    whole = np.empty((rows, width), dtype)
    at = 0
    for matrix in slices:
        whole[at : at + len(matrix)] = matrix
        at += len(matrix)
        pause()
    return whole


def _looks_too_long(body: bytes, max_rows: int) -> bool:
    """Whether there are more brackets than good rows need; the strict road then stops at the first row too many."""
    return body.count(b"{") > max_rows + 1 or body.count(b"[") > max_rows + 3


def _record_type(contract: Contract) -> type[msgspec.Struct]:
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for index, feature in enumerate(contract.features):
        cell = _cell_type(feature)
        fields.append((f"f{index}", cell) if feature.required else (f"f{index}", cell | UnsetType, UNSET))
    names = {f"f{index}": name for index, name in enumerate(contract.names)}
    return msgspec.defstruct("Record", fields, rename=names, forbid_unknown_fields=True, gc=False, kw_only=True)


def _body_type(contract: Contract, record: type[msgspec.Struct]) -> type[msgspec.Struct]:
    output: Any = Literal.__getitem__(contract.output.returns)
    return msgspec.defstruct(
        "Body",
        [
            ("instances", list[record] | UnsetType, UNSET),  # type: ignore[valid-type]
            ("columns", list[str] | UnsetType, UNSET),
            ("data", Raw | UnsetType, UNSET),
            ("outputs", Annotated[list[output], Meta(min_length=1)] | UnsetType, UNSET),
        ],
        forbid_unknown_fields=True,
    )


def _cell_type(feature: Feature) -> Any:
    cell: Any
    if feature.type == "boolean":
        cell = bool
    elif feature.type == "category":
        cell = Literal.__getitem__(feature.allowed)
    elif feature.type == "text":
        cell = Annotated[str, Meta(max_length=feature.max_length)]
    else:
        cell = Annotated[float, _bounds(feature)]
    return Optional[cell] if feature.nullable else cell  # noqa: UP045  # an Annotated made at run time


def _bounds(feature: Feature) -> Meta:
    """As float, so that 5 and 5.0 are both integers. From 2**53 on an integer may have been rounded: left to the strict road."""
    (low, above), (high, below) = feature.lowest, feature.highest
    bounds: dict[str, Any] = {}
    if feature.type == "integer":
        low, high = max(low, 1 - EXACT_INTEGER_MAX), min(high, EXACT_INTEGER_MAX - 1)
        bounds["multiple_of"] = 1
    bounds["gt" if above else "ge"] = low
    bounds["lt" if below else "le"] = high
    return Meta(**bounds)
