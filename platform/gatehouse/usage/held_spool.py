"""The files of a spool folder held open while processes go on: what is in them stays readable when a recorder has removed them.

A backup holds them first and then looks at the database. What was answered before is then in one of both, and `taken_bytes` of the
database never speaks of more than a held file has.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

SEGMENT = ".ndjson"
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.(?:ndjson|lock|rejected)")
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class HeldFile:
    """One open file of the folder."""

    path: Path
    descriptor: int

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def segment_id(self) -> str | None:
        """Its id in the database, where it is a segment."""
        return self.path.stem if self.path.suffix == SEGMENT else None

    def in_place(self) -> bool:
        """Whether the folder still has it."""
        try:
            there = self.path.lstat()
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(self.descriptor))

    def read(self) -> bytes:
        """All of it now; of a segment whole lines only: a call whose line is being written has not been answered."""
        size = os.fstat(self.descriptor).st_size
        content = b"".join(_read(self.descriptor, size))
        return content if self.segment_id is None else content[: content.rfind(b"\n") + 1]


@dataclass(frozen=True, slots=True)
class HeldSpool:
    """Files that were there when it was held."""

    files: tuple[HeldFile, ...]

    def gone(self) -> frozenset[str]:
        """Names of those that the folder has no more."""
        return frozenset(file.name for file in self.files if not file.in_place())

    def waiting(self, taken: Mapping[str, int], gone_before: frozenset[str]) -> "HeldSpool | None":
        """Those that are not wholly in a database that told of `taken` (bytes by segment) after `gone_before` had been seen.

        Of a file that `taken` does not name nothing was taken, or all of it: a recorder removes a file, and then the database forgets it.
        None where one went in between: which of both it was nobody can tell until the database is looked at again.
        """
        unnamed = [file for file in self.files if file.segment_id is not None and file.segment_id not in taken]
        if any(not file.in_place() and file.name not in gone_before for file in unnamed):
            return None
        return HeldSpool(tuple(file for file in self.files if file not in unnamed or file.name not in gone_before))


@contextmanager
def held_spool(folder: Path) -> Iterator[HeldSpool]:
    """Open every file of the folder, which need not be there. Raises OSError."""
    with ExitStack() as stack:
        files = []
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            try:
                descriptor = os.open(path, _OPEN) if _FILE.fullmatch(path.name) else None
            except FileNotFoundError:  # taken and removed since it was listed
                continue
            if descriptor is not None:
                stack.callback(os.close, descriptor)
                files.append(HeldFile(path, descriptor))
        yield HeldSpool(tuple(files))


def _read(descriptor: int, size: int) -> Iterator[bytes]:
    at = 0
    while at < size and (chunk := os.pread(descriptor, size - at, at)):
        at += len(chunk)
        yield chunk
