"""A prediction body to a matrix by its contract: the fast road first, the strict one whenever that cannot prove the body good."""

from typing import Any

import msgspec
import numpy as np

from gatehouse.contracts.contract import Contract
from gatehouse.contracts.fast_decode import FLOAT64, OBJECT, FastDecoder, Matrix
from gatehouse.contracts.pause import Pause, no_pause
from gatehouse.contracts.row_slices import SLICE_CELLS
from gatehouse.contracts.strict_decode import StrictDecoder

INLINE_BYTES = 64 * 1024
LEAST_LONGEST_BLANK = 4096
INLINE_CELLS = 20_000
"""Rows of optional fields are two bytes each and become as many cells as the contract has fields."""


class Decoded(msgspec.Struct, frozen=True):
    """`values` is rows × features in contract order: float64 (null is NaN) where all are numbers, else Python objects (null is None)."""

    rows: int
    values: Matrix
    outputs: tuple[str, ...]
    columns: tuple[str, ...] | None = None
    """As the body names them; None where its rows are records."""
    narrowed: bool = False
    """Whether the body itself names its outputs."""


class Decoder:
    """Made once for a contract; holds nothing of a body."""

    def __init__(self, contract: Contract, inline_cells: int = INLINE_CELLS) -> None:
        self._inline_cells = inline_cells
        self._surely_inline_bytes = min(INLINE_BYTES, inline_cells // len(contract.features))
        """In so few there are no more brackets, whatever they are."""
        self._dtype = FLOAT64 if contract.numeric else OBJECT
        self._fast = FastDecoder(contract)
        self._strict = StrictDecoder(contract)
        self._width = len(contract.features)
        self.longest_blank = max(LEAST_LONGEST_BLANK, *(1 + (feature.max_length or 0) for feature in contract.features))
        """More blanks in a row than any text of this contract may hold."""

    def fits_inline(self, body: bytes) -> bool:
        """Whether the body is so small, in bytes and in the cells that it can become, that it may be decoded on the event loop."""
        if len(body) <= self._surely_inline_bytes:
            return True
        return len(body) <= INLINE_BYTES and max(body.count(b"{"), body.count(b"[")) * self._width <= self._inline_cells

    def decode(self, body: bytes, max_rows: int) -> Decoded:
        """The rows of a body. Raises InvalidJson (no strict JSON) or InvalidInput (not this contract, or over `max_rows`)."""
        found = self._fast.decode(body, max_rows)
        return self.decode_strictly(body, max_rows) if found is None else Decoded(len(found[0]), *found)

    def decode_in_steps(self, body: bytes, max_rows: int, pause: Pause) -> Decoded:
        """The same of a large body, in steps of about a millisecond or less. `pause` is called between them."""
        found = self._fast.decode_in_steps(body, max_rows, pause)
        return self.decode_strictly(body, max_rows, pause) if found is None else Decoded(len(found[0]), *found)

    def decode_strictly(self, body: bytes, max_rows: int, pause: Pause = no_pause) -> Decoded:
        """The same by the strict road alone, which decides what is right."""
        rows, outputs, columns, narrowed = self._strict.decode(body, max_rows, pause)
        count = len(rows)
        values: np.ndarray[Any, Any] = np.empty((count, self._width), self._dtype)
        step = max(1, SLICE_CELLS // self._width)
        for at in reversed(range(0, count, step)):  # from the end, so that the rows are let go of on the way
            values[at : at + step] = rows[at:]
            del rows[at:]
            pause()
        return Decoded(count, values, outputs, columns, narrowed)
