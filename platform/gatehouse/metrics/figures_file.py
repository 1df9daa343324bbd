"""The files in which processes leave their figures for one another: one of each process, handed on when it has ended.

A file holds two records in turns, so that one that was cut short never costs the one before it.
"""

import fcntl
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from gatehouse.metrics.family import Family

RECORD_BYTES = 16 * 1024 * 1024
"""The place of a record; what it does not need takes no disk."""
ABANDONED_S = 7 * 24 * 3600.0
_HEAD = struct.Struct(">QII")
"""Number of the record, its length and its CRC32."""
_SUFFIX = ".figures"


class Figures(msgspec.Struct, frozen=True, kw_only=True, tag_field="format", tag=1):
    """What one process says, with all that those before it in its file had counted."""

    families: list[Family]


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Figures)


class FiguresFile:
    """The open, locked file of one living process."""

    def __init__(self, path: Path, file: int) -> None:
        self.path = path
        self._file = file
        self._number, found = _newest(file)
        self.before = found.families if found else []
        """What was in it when it was taken over."""

    @classmethod
    def open(cls, folder: Path, server: str, process_id: str) -> "FiguresFile":
        """That of a process of this server that has ended, so that its counts are kept, and kept once; else a new one. Raises OSError."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in sorted(folder.glob(f"{server}.*{_SUFFIX}")):
            file = _locked(path)
            if file is not None:
                return cls(path, file)
        # locked before it has its name, so that nobody takes a process that is starting for one that has ended
        unnamed = folder / f"{server}.{process_id}.starting"
        file = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        return cls(unnamed.rename(unnamed.with_suffix(_SUFFIX)), file)

    def write(self, families: list[Family]) -> None:
        """Say it to the others. It outlives the process, not a loss of power. Raises OSError."""
        body = _ENCODER.encode(Figures(families=families))
        if len(body) > RECORD_BYTES - _HEAD.size:
            raise OSError(f"{len(body)} bytes of metrics are more than a record holds")
        self._number += 1
        os.pwrite(self._file, _HEAD.pack(self._number, len(body), zlib.crc32(body)) + body, RECORD_BYTES * (self._number % 2))

    def close(self) -> None:
        """Let another process take it over."""
        os.close(self._file)


def read_others(folder: Path, server: str, own: Path | None = None) -> Iterator[tuple[list[Family], bool]]:
    """What each process of this server but `own` has said last, and whether it lives."""
    for path in sorted(folder.glob(f"{server}.*{_SUFFIX}")):
        if path != own:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                lives = _is_held(file)
                found = _newest(file)[1]
            finally:
                os.close(file)
            if found:
                yield found.families, lives


def remove_abandoned(folder: Path, now: float) -> None:
    """Remove what servers of other names and ports have left and nobody has taken over for a week. `now`: seconds since 1970."""
    for path in folder.iterdir():
        if now - path.stat().st_mtime > ABANDONED_S:
            file = _locked(path)
            if file is not None:
                path.unlink()
                os.close(file)


def _locked(path: Path) -> int | None:
    """The open file where no living process has it."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(file).st_nlink:
            return file
    except BlockingIOError:
        pass
    os.close(file)
    return None


def _is_held(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _newest(file: int) -> tuple[int, Figures | None]:
    """The number of the newest whole record and what it says; 0 and None where there is none."""
    records = [found for found in (_record(file, RECORD_BYTES * place) for place in (0, 1)) if found]
    return max(records, key=lambda record: record[0], default=(0, None))


def _record(file: int, at: int) -> tuple[int, Figures] | None:
    head = os.pread(file, _HEAD.size, at)
    if len(head) < _HEAD.size:
        return None
    number, length, crc = _HEAD.unpack(head)
    body = os.pread(file, min(length, RECORD_BYTES), at + _HEAD.size)
    if not number or zlib.crc32(body) != crc:
        return None
    try:
        return number, _DECODER.decode(body)
    except msgspec.DecodeError:  # of another format
        return None
