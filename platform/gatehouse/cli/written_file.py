"""Files that are there only once they are whole: an export, a settings file."""

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TextIO

from gatehouse.cli.one_line import cause_of
from gatehouse.errors import Refused


@contextmanager
def written_file(out: Path | None) -> Iterator[TextIO]:
    """Where an export goes: standard output, or a file for its owner alone. Raises Refused where it cannot be written."""
    if out is None:
        yield sys.stdout
        return
    if out.exists() and not out.is_file():
        raise Refused(f"{out} cannot be written: it is no file")
    with _in_one_line(out), replaced_file(out) as target:
        yield target


@contextmanager
def new_binary_file(out: Path) -> Iterator[BinaryIO]:
    """A file for its owner alone that is there once it is whole, and never takes another's place. Raises Refused."""
    if out.exists():
        raise Refused(f"{out} is there already: name another file")
    with _in_one_line(out), _unfinished(out) as unfinished, open(unfinished, "xb", opener=_for_its_owner) as target:
        yield target
        _kept(target)


@contextmanager
def replaced_file(file: Path) -> Iterator[TextIO]:
    """A fresh file (mode 600) that takes the place of `file` once all of it is on the disk; else nothing is left. Raises OSError."""
    with _unfinished(file) as unfinished, open(unfinished, "x", encoding="utf-8", newline="", opener=_for_its_owner) as target:
        yield target
        _kept(target)


@contextmanager
def _unfinished(file: Path) -> Iterator[Path]:
    """A name beside the file whose file takes its place at the end; it is taken away where anything fails.

    Nobody knows the name before, and no link is followed from it: the folder may be another user's. It is made up before there is a
    file: one that is made by a call which a signal ends would have a name that only the call knows.
    """
    unfinished = file.with_name(f".{file.name}.{secrets.token_hex(8)}.unfinished")
    try:
        yield unfinished
        unfinished.replace(file)
    except BaseException as error:
        with suppress(OSError):
            unfinished.unlink()
        if isinstance(error, OSError) and error.filename == str(unfinished):
            error.filename = str(file)
        raise
    _sync(file.parent)


@contextmanager
def _in_one_line(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.filename in (None, str(out)):  # another one is that of what is read
            raise Refused(f"{out} cannot be written: {cause_of(error)}") from None
        raise


def _for_its_owner(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _kept(target: BinaryIO | TextIO) -> None:
    """On the disk before its name is its own: a crash leaves the file before or this one, never an empty one."""
    target.flush()
    os.fsync(target.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
