"""The bytes of a pickle as `joblib.dump` packs them, unpacked a piece at a time and never beyond a bound."""

import bz2
import importlib
import importlib.util
import lzma
import zlib
from collections.abc import Iterator
from typing import Any

MAX_BYTES = 4 * 1024**3
"""Of one unpacked file."""
MAX_LINE = 16 * 1024**2
_PIECE = 256 * 1024
_LZMA_MEMORY = 256 * 1024**2
_RAISED_BY_PACKERS = (zlib.error, lzma.LZMAError, OSError, EOFError, RuntimeError)


class PickleRefused(Exception):
    """The file cannot be read as a pickle; the message is one line and names the remedy."""


class PickleStream:
    """A file's unpacked bytes, read once from front to back. What ends too early raises PickleRefused."""

    def __init__(self, artifact: bytes, *, max_bytes: int = MAX_BYTES) -> None:
        self._pieces = _unpacked(artifact)
        self._piece = b""
        self._place = 0
        self._before = 0
        self._max_bytes = max_bytes

    def tell(self) -> int:
        return self._before + self._place

    def read(self, count: int) -> bytes:
        """Exactly `count` bytes; nothing is set aside for bytes that are not there."""
        if self._place + count <= len(self._piece):
            self._place += count
            return self._piece[self._place - count : self._place]
        return b"".join(self._taken(count))

    def readline(self) -> bytes:
        """One line with its end."""
        line = bytearray()
        while len(line) < MAX_LINE:
            if self._place == len(self._piece):
                self._next_piece()
            end = self._piece.find(b"\n", self._place) + 1
            part = self._piece[self._place : end or None]
            self._place += len(part)
            line += part
            if end:
                return bytes(line)
        raise PickleRefused("the file is not a pickle: save the fitted estimator with joblib.dump")

    def skip(self, count: int) -> None:
        for _ in self._taken(count):
            pass

    def _taken(self, count: int) -> Iterator[bytes]:
        while count > 0:
            if self._place == len(self._piece):
                self._next_piece()
            part = self._piece[self._place : self._place + count]
            self._place += len(part)
            count -= len(part)
            yield part

    def _next_piece(self) -> None:
        self._before += len(self._piece)
        if self._before > self._max_bytes:
            raise PickleRefused(f"the file unpacks to more than {self._max_bytes:,} bytes: publish a smaller model")
        try:
            self._piece, self._place = next(self._pieces), 0
        except StopIteration:
            raise PickleRefused("the file ends in the middle: copy it again, or save it again with joblib.dump") from None
        except _RAISED_BY_PACKERS:
            raise PickleRefused("the file's compression is damaged: copy it again, or save it again with joblib.dump") from None


def _unpacked(artifact: bytes) -> Iterator[bytes]:
    """By the first bytes, as joblib tells them apart; pieces are never empty."""
    if artifact.startswith(b"ZF"):
        raise PickleRefused("the file was saved by joblib before 0.10: load it there and save it again with a newer joblib")
    if artifact.startswith(b"\x78"):
        return _inflated(artifact, zlib.MAX_WBITS)
    if artifact.startswith(b"\x1f\x8b"):
        return _inflated(artifact, zlib.MAX_WBITS | 16)
    if artifact.startswith(b"BZ"):
        return _expanded(artifact, bz2.BZ2Decompressor())
    if artifact.startswith(b"\x5d\x00"):
        return _expanded(artifact, lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_LZMA_MEMORY))
    if artifact.startswith(b"\xfd\x37\x7a\x58\x5a"):
        return _expanded(artifact, lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_LZMA_MEMORY))
    if artifact.startswith(b"\x04\x22\x4d\x18"):
        return _expanded(artifact, _lz4())
    return _pieces_of(artifact)


def _pieces_of(content: bytes) -> Iterator[bytes]:
    return (content[start : start + _PIECE] for start in range(0, len(content), _PIECE))


def _inflated(packed: bytes, bits: int) -> Iterator[bytes]:
    machine = zlib.decompressobj(bits)
    for piece in _pieces_of(packed):
        waiting, part = piece, b"-"
        while (waiting or len(part) == _PIECE) and not machine.eof:
            part = machine.decompress(waiting, _PIECE)
            waiting = machine.unconsumed_tail
            if part:
                yield part


def _expanded(packed: bytes, machine: Any) -> Iterator[bytes]:
    for piece in _pieces_of(packed):
        waiting = piece
        while not machine.eof:
            part = machine.decompress(waiting, _PIECE)
            waiting = b""
            if part:
                yield part
            if machine.needs_input:
                break


def _lz4() -> Any:
    if importlib.util.find_spec("lz4") is None:
        raise PickleRefused("the file is packed with lz4, which is not installed: save it with joblib.dump(model, path, compress=3)")
    return importlib.import_module("lz4.frame").LZ4FrameDecompressor()
