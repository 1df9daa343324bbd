"""Files that are there only once they are whole: an export, a settings file."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
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
    try:
        unfinished = _fresh(out)
    except OSError as error:
        raise Refused(f"{out} cannot be written: {cause_of(error)}") from None
    try:
        with _taking_the_place(*unfinished, out) as target:
            yield target
    except OSError as error:
        if error.filename is None:  # one with a name is of what is read
            raise Refused(f"{out} cannot be written: {cause_of(error)}") from None
        raise


@contextmanager
def new_binary_file(out: Path) -> Iterator[BinaryIO]:
    """A file for its owner alone that is there once it is whole, and never takes another's place. Raises Refused."""
    if out.exists():
        raise Refused(f"{out} is there already: name another file")
    try:
        descriptor, unfinished = _fresh(out)
    except OSError as error:
        raise Refused(f"{out} cannot be written: {cause_of(error)}") from None
    try:
        with os.fdopen(descriptor, "wb") as target:
            yield target
            target.flush()
            os.fsync(target.fileno())
        Path(unfinished).replace(out)
        _sync(out.parent)
    except BaseException as error:
        Path(unfinished).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:  # one with a name is of what is read
            raise Refused(f"{out} cannot be written: {cause_of(error)}") from None
        raise


@contextmanager
def replaced_file(file: Path) -> Iterator[TextIO]:
    """A fresh file (mode 600) that takes the place of `file` once all of it is on the disk; else nothing is left. Raises OSError."""
    with _taking_the_place(*_fresh(file), file) as target:
        yield target


def _fresh(file: Path) -> tuple[int, str]:
    """Beside the file, by a name that nobody knows before and no link is followed from: the folder may be another user's."""
    return tempfile.mkstemp(prefix=f".{file.name}.", suffix=".unfinished", dir=file.parent)


@contextmanager
def _taking_the_place(descriptor: int, name: str, file: Path) -> Iterator[TextIO]:
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as target:
            yield target
            target.flush()
            os.fsync(target.fileno())  # before the name is its own: a crash leaves the file before or this one, never an empty one
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _sync(file.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
