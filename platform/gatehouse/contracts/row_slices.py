"""Where a large body can be cut between its rows, so that no step of decoding it takes long. Works on the bytes, by regular expressions.

What comes out is a proposal, which the decoder proves: where the frame (the body without its rows) is a body with an empty list, and
each slice between brackets a list of rows, the whole is a body with just these rows, since JSON's grammar reads a text in one way only.
A cut that went through a text leaves something that is no JSON. A body that holds a backslash must not be cut.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

SLICE_BYTES = 32 * 1024
SLICE_CELLS = 10_000
"""What a slice may become; decoding a cell takes about 0.1 µs."""
FRAME_BYTES = 64 * 1024
"""How far from its ends the rows of a body must begin and end, if it is to be cut."""
LONGEST_ROW_BYTES = 256 * 1024
"""A body with a longer row is not cut."""

_BEGIN = re.compile(rb'"(instances|data)"[ \t\n\r]*:[ \t\n\r]*\[')


@dataclass(frozen=True, slots=True)
class _Shape:
    """How rows look in one shape of a body."""

    opening: bytes
    end: re.Pattern[bytes]
    """The end of the last row, before the end of the list."""
    border: re.Pattern[bytes]
    """From the end of a row to the beginning of the next one."""


_SHAPES = {
    b"instances": _Shape(b"{", re.compile(rb"\}[ \t\n\r]*(?=\])"), re.compile(rb"\}[ \t\n\r]*,[ \t\n\r]*(?=\{)")),
    b"data": _Shape(b"[", re.compile(rb"\][ \t\n\r]*(?=\])"), re.compile(rb"\][ \t\n\r]*,[ \t\n\r]*(?=\[)")),
}


@dataclass(frozen=True, slots=True)
class RowSlices:
    """A body taken apart: its frame, whose list of rows is empty, and where its rows lie."""

    frame: bytes
    _shape: _Shape
    _body: bytes
    _begin: int
    _end: int

    def slices(self, width: int, size: int) -> Iterator[bytes | None]:
        """The rows, `width` cells each, as JSON lists of about `size` bytes; None, and no more, where no border is found."""
        at = self._begin
        while at < self._end:
            ahead = at + self._step(at, width, size)
            border = self._shape.border.search(self._body, ahead, min(ahead + LONGEST_ROW_BYTES, self._end)) if ahead < self._end else None
            if border is not None:
                yield b"[" + self._body[at : border.start() + 1] + b"]"
                at = border.end()
            elif self._end - ahead < LONGEST_ROW_BYTES:
                yield b"[" + self._body[at : self._end] + b"]"
                return
            else:
                yield None
                return

    def _step(self, at: int, width: int, size: int) -> int:
        """Bytes to go ahead: fewer where rows are short and become many cells, as rows of left out fields do."""
        size = min(size, self._end - at)
        cells = self._body.count(self._shape.opening, at, at + size) * width
        return size if cells <= SLICE_CELLS else size * SLICE_CELLS // cells


def cut(body: bytes) -> RowSlices | None:
    """The body as frame and rows; None where no list of rows is found."""
    found = _BEGIN.search(body, 0, FRAME_BYTES)
    if found is None:
        return None
    shape = _SHAPES[found[1]]
    for tail in (FRAME_BYTES // 16, FRAME_BYTES):
        last = shape.end.search(body, max(found.end(), len(body) - tail))
        if last is not None:
            return RowSlices(body[: found.end()] + body[last.end() :], shape, body, found.end(), last.start() + 1)
    return None
