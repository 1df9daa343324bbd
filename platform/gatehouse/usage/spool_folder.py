"""The folder of all spools: which files there are, and whose process still lives."""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """One file of a spool, `<process id>.<number>.ndjson`."""

    process_id: str
    number: int

    @property
    def id(self) -> str:
        return f"{self.process_id}.{self.number:06d}"

    def path(self, folder: Path) -> Path:
        return folder / f"{self.id}.ndjson"


def lock_path(folder: Path, process_id: str) -> Path:
    """The file whose flock a process holds as long as it lives, or its adopter while it takes over."""
    return folder / f"{process_id}.lock"


def segments(folder: Path) -> list[Segment]:
    """All segments in the folder, in the order in which each process wrote them."""
    found = []
    for path in folder.glob("*.ndjson"):
        process_id, dot, number = path.stem.rpartition(".")
        if dot and number.isdecimal():
            found.append(Segment(process_id, int(number)))
    return sorted(found)


def try_lock(path: Path) -> int | None:
    """The open lock file when nobody holds it (its process has ended), else None. Close it to let go."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(lock).st_ino == path.stat().st_ino:
            return lock
    except (BlockingIOError, FileNotFoundError):
        pass  # held by a living process, or adopted and removed by another one meanwhile
    os.close(lock)
    return None


def make_lock(folder: Path, process_id: str) -> int:
    """The open lock file of a process that starts. Raises FileExistsError."""
    path = lock_path(folder, process_id)
    if path.exists():
        raise FileExistsError(f"{path.name} exists: a process id is used once")
    # locked before it has its name, so that nobody takes a process that is starting for one that has ended
    unnamed = folder / f"{process_id}.starting"
    lock = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    unnamed.rename(path)
    return lock
