"""The spool: each process appends its usage events to files of its own, which outlive it."""

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from gatehouse.errors import UsageUnavailable
from gatehouse.usage.event import Entry, encode_line

SEGMENT_BYTES = 16 * 1024 * 1024
MAX_BACKLOG_BYTES = 1024 * 1024 * 1024
"""About two million events that the database has not taken yet."""
RETRY_AFTER_S = 5


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


class Spool:
    """The spool of this process. `append` and `ensure_room` belong to one thread, the rest to any."""

    def __init__(self, folder: Path, process_id: str, lock: int, min_free_bytes: int, segment_bytes: int, max_backlog_bytes: int) -> None:
        self.folder = folder
        self.process_id = process_id
        self._lock = lock
        self._min_free_bytes = min_free_bytes
        self._segment_bytes = segment_bytes
        self._max_backlog_bytes = max_backlog_bytes
        self._number = 0
        self._file = -1
        self._closed = False
        self._size = 0
        self._torn = False
        self._no_room: str | None = None
        self._next_segment()

    @classmethod
    def open(
        cls,
        folder: Path,
        process_id: str,
        min_free_bytes: int,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        max_backlog_bytes: int = MAX_BACKLOG_BYTES,
    ) -> "Spool":
        """Make a spool for a process that starts; `process_id` was never used before. Raises OSError."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = _make_lock(folder, process_id)
        spool = cls(folder, process_id, lock, min_free_bytes, segment_bytes, max_backlog_bytes)
        spool.check_room(0)
        return spool

    @property
    def closed(self) -> bool:
        """Whether nothing can be appended any more."""
        return self._closed

    @property
    def no_room(self) -> str | None:
        """Why no call can be metered now (`disk_low`, `backlog_full`, `write_failed`), or None."""
        return self._no_room

    def ensure_room(self) -> None:
        """Asked before scoring. Raises UsageUnavailable."""
        if self._no_room is not None:
            raise _unavailable(self._no_room)

    def append(self, entry: Entry) -> None:
        """Write one entry; when this returns, it outlives the process. Raises UsageUnavailable, and then nothing is written."""
        line = encode_line(entry)
        try:
            if self._size >= self._segment_bytes:
                self._next_segment()
            if self._torn:
                self._mend()
            self._write(line)
        except OSError as error:
            self._no_room = "write_failed"
            self._torn = True
            raise _unavailable(f"write_failed: {error.strerror}") from error
        self._size += len(line)

    def check_room(self, backlog_bytes: int) -> None:
        """Look at the disk and at what the database has not taken yet; `ensure_room` goes by the outcome."""
        free = os.statvfs(self.folder)
        if free.f_bavail * free.f_frsize < self._min_free_bytes:
            self._no_room = "disk_low"
        elif backlog_bytes > self._max_backlog_bytes:
            self._no_room = "backlog_full"
        else:
            self._no_room = None

    def close(self) -> None:
        """End writing. The lock stays until `release`."""
        if not self._closed:
            os.close(self._file)
            self._file, self._closed = -1, True

    def release(self) -> None:
        """Let go of the lock: from now on other processes may adopt what is left."""
        self.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _next_segment(self) -> None:
        path = Segment(self.process_id, self._number + 1).path(self.folder)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        # the recorder may look at any moment: there is always an open segment until `close`
        old, self._file = self._file, file
        self._number, self._size, self._torn = self._number + 1, 0, False
        if old >= 0:
            os.close(old)

    def _write(self, line: bytes) -> None:
        written = os.write(self._file, line)
        while written < len(line):  # only a disk that has just filled up writes less
            written += os.write(self._file, line[written:])

    def _mend(self) -> None:
        # what a failed write left behind was never answered; nobody has taken it, since it has no line end
        os.ftruncate(self._file, self._size)
        self._torn = False


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


def _make_lock(folder: Path, process_id: str) -> int:
    path = lock_path(folder, process_id)
    if path.exists():
        raise FileExistsError(f"{path.name} exists: a process id is used once")
    # locked before it has its name, so that nobody takes a process that is starting for one that has ended
    unnamed = folder / f"{process_id}.starting"
    lock = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    unnamed.rename(path)
    return lock


def _unavailable(reason: str) -> UsageUnavailable:
    return UsageUnavailable(reason=f"usage_{reason}", headers=[("Retry-After", str(RETRY_AFTER_S))])
