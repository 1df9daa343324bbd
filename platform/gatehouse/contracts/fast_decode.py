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
from gatehouse.contracts.pause import Pause
from gatehouse.contracts.row_slices import SLICE_BYTES, cut

Matrix = np.ndarray[Any, Any]
Rows = Sequence[Sequence[Any]]
Found: TypeAlias = tuple[Matrix, tuple[str, ...], tuple[str, ...] | None, bool]
"""Values (rows × features), the outputs asked for, the columns as sent (None: records), and whether the body itself names outputs."""

FLOAT64 = np.dtype(np.float64)
OBJECT = np.dtype(object)
NOT_DECODED = (msgspec.MsgspecError, ValueError, RecursionError)
SEARCHED_BYTES = 4 * 1024 * 1024
"""In one step, for one character; takes about 0.2 ms."""
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
        self._by_order: dict[tuple[str, ...], msgspec.json.Decoder[list[tuple[Any, ...]]]] = {}

    def decode(self, body: bytes, max_rows: int) -> Found | None:
        """What the body holds, or None."""
        if b"\\" in body or (len(body) > 2 * max_rows and _looks_too_long(body, max_rows)):
            return None
        try:
            parts = self._decode(body)
            found = self._from_records(body, parts) if parts.data is UNSET else self._from_columns(body, parts)
        except NOT_DECODED:
            return None
        if found is None or not 0 < len(found) <= max_rows:
            return None
        return found, self._outputs(parts), *_as_sent(parts)

    def decode_in_steps(self, body: bytes, max_rows: int, pause: Pause) -> Found | None:
        """The same, some rows at a time. None also where the body cannot be cut between its rows."""
        taken = None if _holds_backslash(body, pause) else cut(body)
        if taken is None:
            return None
        try:
            parts = self._decode(taken.frame)
            read = self._reader(taken.frame, parts)
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
        return _joined(slices, rows, self._width, self._dtype, pause), self._outputs(parts), *_as_sent(parts)

    def _outputs(self, parts: Any) -> tuple[str, ...]:
        return self._returns if parts.outputs is UNSET else tuple(name for name in self._returns if name in parts.outputs)

    def _reader(self, frame: bytes, parts: Any) -> Callable[[bytes], Matrix | None] | None:
        """What reads a slice of the rows that belong into this frame; None for a frame that is no body."""
        outputs = parts.outputs is not UNSET
        if parts.instances == [] and parts.columns is UNSET and parts.data is UNSET:
            return self._records_of if frame.count(b":") == 1 + outputs else None
        if parts.instances is not UNSET or parts.columns is UNSET or parts.data is UNSET or bytes(parts.data) != b"[]":
            return None
        names = tuple(parts.columns)
        decoder = self._by_order.get(names) or self._compile(names)
        if decoder is None or frame.count(b":") != 2 + outputs:
            return None
        return partial(self._data_of, names, decoder)

    def _records_of(self, part: bytes) -> Matrix | None:
        matrix, present = self._matrix_of(self._decode_records(part))
        return self._finished(matrix) if matrix is not None and self._proven(part, present, matrix) else None

    def _data_of(self, names: tuple[str, ...], decoder: "msgspec.json.Decoder[list[tuple[Any, ...]]]", part: bytes) -> Matrix | None:
        rows = decoder.decode(part)
        matrix = self._in_contract_order(names, self._matrix(rows, len(rows), len(names)))
        return self._finished(matrix) if self._proven(part, 0, matrix) else None

    def _from_records(self, body: bytes, parts: Any) -> Matrix | None:
        records = parts.instances
        if records is UNSET or parts.columns is not UNSET:
            return None
        matrix, present = self._matrix_of(records)
        keys = 1 + (parts.outputs is not UNSET) + present
        return self._finished(matrix) if matrix is not None and self._proven(body, keys, matrix) else None

    def _matrix_of(self, records: Sequence[Any]) -> tuple[Matrix | None, int]:
        """The records' values and how many of these were sent; None where what was left out cannot be filled in."""
        try:
            rows = list(map(astuple, records)) if self._dtype is OBJECT else map(astuple, records)
            matrix = self._matrix(rows, len(records), self._width)
        except TypeError:  # a field that was left out is no number
            return self._with_defaults([astuple(record) for record in records]) if self._may_fill else (None, 0)
        return matrix, matrix.size

    def _from_columns(self, body: bytes, parts: Any) -> Matrix | None:
        if parts.columns is UNSET or parts.instances is not UNSET:
            return None
        names = tuple(parts.columns)
        decoder = self._by_order.get(names) or self._compile(names)
        if decoder is None:
            return None
        rows = decoder.decode(parts.data)
        matrix = self._in_contract_order(names, self._matrix(rows, len(rows), len(names)))
        return self._finished(matrix) if self._proven(body, 2 + (parts.outputs is not UNSET), matrix) else None

    def _proven(self, body: bytes, keys: int, matrix: Matrix) -> bool:
        surplus = body.count(b":") - keys
        if surplus == 0:
            return True
        return bool(surplus == sum(text.count(":") for index in self._texts for text in matrix[:, index] if text is not None))

    def _matrix(self, rows: Iterable[Sequence[Any]], height: int, width: int) -> Matrix:
        if self._dtype is OBJECT:
            cells = list(chain.from_iterable(rows))
            if UNSET in cells:
                raise TypeError("a field was left out")
            matrix = np.empty(len(cells), OBJECT)
            matrix[:] = cells
            return matrix.reshape(height, width)
        # NumPy makes NaN of None, and refuses UNSET with TypeError
        return np.fromiter(chain.from_iterable(rows), FLOAT64, height * width).reshape(height, width)

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
        if self._integers and self._dtype is FLOAT64:
            matrix[:, self._integers] += 0.0  # -0.0 is no integer of its own
        else:
            for index in self._integers:
                matrix[:, index] = [None if cell is None else int(cell) for cell in matrix[:, index]]
        return matrix

    def _compile(self, names: tuple[str, ...]) -> "msgspec.json.Decoder[list[tuple[Any, ...]]] | None":
        if not names or len(set(names)) != len(names) or not self._required <= set(names) or any(name not in self._index for name in names):
            return None
        if len(names) < self._width and not self._may_fill:
            return None
        cells = tuple(_cell_type(self._features[self._index[name]]) for name in names)
        decoder: msgspec.json.Decoder[list[tuple[Any, ...]]] = msgspec.json.Decoder(list[tuple[cells]])  # type: ignore[valid-type]
        if len(self._by_order) >= MOST_COLUMN_ORDERS:
            self._by_order.clear()
        self._by_order[names] = decoder
        return decoder


def _as_sent(parts: Any) -> tuple[tuple[str, ...] | None, bool]:
    return None if parts.columns is UNSET else tuple(parts.columns), parts.outputs is not UNSET


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
