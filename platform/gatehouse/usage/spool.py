"""The spool: each process appends its usage events to files of its own, which outlive it."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gatehouse.errors import UsageUnavailable
from gatehouse.usage.disk_space import take_ahead
from gatehouse.usage.event import Entry, encode_line
from gatehouse.usage.no_room import NoRoom, unavailable
from gatehouse.usage.spool_folder import Segment, make_lock

LOG = logging.getLogger("gatehouse.usage")
SEGMENT_BYTES = 16 * 1024 * 1024
MAX_BACKLOG_BYTES = 1024 * 1024 * 1024
"""About two million events that the database has not taken yet."""
CHUNK_BYTES = 1024 * 1024
"""Disk space is taken ahead by so much."""
LINE_BYTES = 1024
"""No line is longer."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How large a spool may grow, in bytes."""

    min_free_bytes: int
    """What must stay free on the disk beside it."""
    segment_bytes: int = SEGMENT_BYTES
    max_backlog_bytes: int = MAX_BACKLOG_BYTES
    """What may wait for the database; exceeded by less than two times CHUNK_BYTES and the margin."""
    margin_bytes: int = 256 * LINE_BYTES
    """Taken ahead at any moment: a line for each call that may be between its scoring and its answer."""


class Spool:
    """The spool of this process. `append`, `ensure_room` and what is about syncing belong to one thread, the rest to any.

    `durable` says that an entry counts only once it was synced: none that is not yet is shown to the recorder.
    """

    def __init__(self, folder: Path, process_id: str, lock: int, bounds: Bounds, durable: bool) -> None:
        self.folder = folder
        self.process_id = process_id
        self.durable = durable
        self._lock = lock
        self._bounds = bounds
        self._number = 0
        self._file = -1
        self._closed = False
        self._size = self._ahead = self._synced = 0
        """Of the open segment: what is written, what the disk has taken for it, what is synced."""
        self._finished_bytes = self._taken_bytes = 0
        self._torn = self._left = False
        self._no_room: str | None = None
        self._say = NoRoom().say
        self._next_segment()

    @classmethod
    def open(cls, folder: Path, process_id: str, bounds: Bounds, *, durable: bool = False) -> "Spool":
        """Make a spool for a process that starts; `process_id` was never used before. Raises OSError."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = make_lock(folder, process_id)
        spool = cls(folder, process_id, lock, bounds, durable)
        spool.check_room()
        return spool

    @property
    def closed(self) -> bool:
        """Whether nothing can be appended any more."""
        return self._closed

    @property
    def no_room(self) -> str | None:
        """Why no call can be metered now (`disk_low`, `disk_full`, `backlog_full`, `write_failed`, `sync_failed`), or None."""
        return self._no_room

    @property
    def backlog_bytes(self) -> int:
        """What the database has not taken yet."""
        return self._finished_bytes + self._size - self._taken_bytes

    def ensure_room(self) -> None:
        """Asked before scoring: afterwards a line of the call can be appended whatever the disk does. Raises UsageUnavailable."""
        if self._no_room is None and self._size + self._bounds.margin_bytes > self._ahead:
            self._make_room(self._bounds.margin_bytes)
        if self._no_room is not None:
            raise unavailable(self._no_room)

    def append(self, entry: Entry) -> None:
        """Write one entry; when this returns, it outlives the process. Raises UsageUnavailable, and then nothing is written."""
        self.append_lines(encode_line(entry))

    def append_lines(self, lines: bytes) -> None:
        """The same of several entries, each a line of `encode_line`: all of them or none."""
        try:
            if self._torn:
                self._mend()
            if self._size >= self._bounds.segment_bytes or self._size + len(lines) > self._ahead:
                self._make_room(len(lines))
            self._write(lines)
        except OSError as error:
            self._torn = True
            raise self._refuse("write_failed", error) from error
        self._size += len(lines)

    def check_room(self) -> None:
        """Look at the disk and at what the database has not taken yet; `ensure_room` goes by the outcome."""
        free = os.statvfs(self.folder)
        wanted = max(self._bounds.min_free_bytes, CHUNK_BYTES if self._no_room == "disk_full" else 0)
        if free.f_bavail * free.f_frsize < wanted:
            self._refuse(self._no_room or "disk_low")
        elif self.backlog_bytes > self._bounds.max_backlog_bytes:
            self._refuse("backlog_full")
        elif self._no_room is not None:
            self._no_room = None
            LOG.warning("calls can be metered again")

    def note_taken(self, taken: int) -> None:
        """So many more bytes are in the database."""
        self._taken_bytes += taken

    def written(self) -> tuple[Segment, int]:
        """Its open segment, and how many bytes must be in the file; 0 where that is not to be known now."""
        segment, written = Segment(self.process_id, self._number), self._synced if self.durable else self._size
        return segment, 0 if self._left or self._closed else written

    def leave_file(self, lost: int) -> None:
        """Go on in the next file: of this one so many bytes are gone, and count no more as waiting."""
        self._taken_bytes += lost
        self._left = True
        self._ahead = 0

    def takeable_bytes(self, segment: Segment) -> int | None:
        """How much of one of its segments the recorder may take now; None for one that is finished, and all that is there.

        Of the open one never what a write that failed has left behind: its calls were refused.
        """
        if self._closed or segment.number != self._number:
            return None
        return self._synced if self.durable else self._size

    def close(self) -> None:
        """End writing. The lock stays until `release`."""
        if not self._closed:
            self._closed = True
            try:
                if self.durable:
                    os.fdatasync(self._file)
                _cut(self._file, self._size)
            except OSError as error:
                LOG.error("the end of the spool may not outlive a loss of power: %s", error.strerror)
            os.close(self._file)
            self._file = -1

    def release(self) -> None:
        """Let go of the lock: from now on other processes may adopt what is left."""
        self.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def begin_sync(self) -> "Mark":
        """What is to be synced: `os.fdatasync(mark.file)` in another thread, then `end_sync` or `fail_sync`; then close the file."""
        return Mark(os.dup(self._file), self._number, self._size)

    def end_sync(self, mark: "Mark") -> None:
        """All up to the mark is on the disk."""
        if mark.number == self._number:
            self._synced = max(self._synced, mark.size)

    def fail_sync(self, error: OSError) -> UsageUnavailable:
        """What is not synced is taken back, since none of it was answered; returns what its calls get."""
        self._size, self._torn = self._synced, True
        return self._refuse("sync_failed", error)

    def _make_room(self, needed: int) -> None:
        if self.backlog_bytes > self._bounds.max_backlog_bytes:
            self._refuse("backlog_full")  # from the next call on: those under way still find room
        try:
            if self._left or self._size >= self._bounds.segment_bytes:
                self._next_segment()
            else:
                more = CHUNK_BYTES + self._bounds.margin_bytes
                take_ahead(self._file, self._size, more)
                self._ahead = self._size + more
        except OSError as error:
            refusal = self._refuse("disk_full", error)
            if self._size + needed > self._ahead:
                raise refusal from error

    def _next_segment(self) -> None:
        path = Segment(self.process_id, self._number + 1).path(self.folder)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        more = CHUNK_BYTES + self._bounds.margin_bytes
        try:
            if self.durable:
                self._sync_before_next()
            take_ahead(file, 0, more)
        except OSError as error:
            if self._file >= 0:
                os.close(file)
                path.unlink()
                raise
            self._refuse("disk_full", error)  # a process that starts answers all but predictions
            more = 0
        # the recorder may look at any moment: there is always an open segment until `close`
        self._left = True
        old, self._file = self._file, file
        finished = self._size
        self._finished_bytes += finished
        self._size, self._ahead, self._synced, self._torn = 0, more, 0, False
        self._number += 1  # last: whoever finds the old number finds nothing to be taken
        self._left = False
        if old >= 0:
            _cut(old, finished)
            os.close(old)

    def _sync_before_next(self) -> None:
        if self._file >= 0:
            os.fdatasync(self._file)
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _write(self, lines: bytes) -> None:
        written = os.write(self._file, lines)
        while written < len(lines):  # only a disk that has just filled up writes less
            written += os.write(self._file, lines[written:])

    def _mend(self) -> None:
        # what a failed write or sync left behind was never answered, and nobody has taken it
        os.ftruncate(self._file, self._size)
        self._ahead = self._size
        self._torn = False

    def _refuse(self, reason: str, error: OSError | None = None) -> UsageUnavailable:
        self._no_room = reason
        self._say(reason, error)
        return unavailable(reason)


class Mark(NamedTuple):
    """How far a spool was written at a moment."""

    file: int
    number: int
    size: int


def _cut(file: int, size: int) -> None:
    """Give back what was taken ahead."""
    os.ftruncate(file, min(size, os.fstat(file).st_size))  # somebody may have cut it shorter, which is not to be filled up
