"""The recorder: takes spooled events into the database, and adopts the spools of processes that have ended."""

import logging
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, RLock, Thread

from gatehouse.db.session import GONE, Database
from gatehouse.usage import store
from gatehouse.usage.batch import Batch, read_batch, whole_lines
from gatehouse.usage.harm import HarmWatch
from gatehouse.usage.retention import Retention
from gatehouse.usage.spool import Spool
from gatehouse.usage.spool_folder import Segment, lock_path, segments, try_lock

LOG = logging.getLogger("gatehouse.usage")
BATCH_BYTES = 512 * 1024
"""About a thousand events in a transaction. No event is nearly as long."""
INTERVAL_S = 0.2
ADOPT_EVERY_S = 5.0


class Recorder:
    """Drains one process's spool in a thread of its own.

    `on_ended` is called with a process id once all its usage is in the database: of an adopted process, and of this one at
    `close`. It may be called again for the same process after a failure. Between two rounds, `retention` takes old events away.
    """

    def __init__(
        self,
        spool: Spool,
        database: Database,
        on_ended: Callable[[str], None],
        retention: Retention | None = None,
        *,
        interval_s: float = INTERVAL_S,
        adopt_every_s: float = ADOPT_EVERY_S,
        batch_bytes: int = BATCH_BYTES,
    ) -> None:
        self._spool = spool
        self._folder = spool.folder
        self._harm = HarmWatch(spool)
        self._database = database
        self._on_ended = on_ended
        self._retention = retention
        self._interval_s = interval_s
        self._adopt_every_s = adopt_every_s
        self._batch_bytes = batch_bytes
        self._taken: dict[Segment, int] = {}
        """Bytes of each segment that are known to be in the database."""
        self._one_at_a_time = RLock()
        self._stop = Event()
        self._failing = False
        self._thread = Thread(target=self._run, name="usage-recorder", daemon=True)

    def start(self) -> None:
        """Begin to drain and to look for spools to adopt."""
        self._thread.start()

    def drain(self) -> int:
        """Take all that this process has written into the database now; returns the events that are new there. Raises DBAPIError."""
        with self._one_at_a_time:
            mine = [segment for segment in segments(self._folder) if segment.process_id == self._spool.process_id]
            for gone in [segment for segment in self._taken if segment.process_id == self._spool.process_id and segment not in mine]:
                self._spool.note_taken(-self._taken.pop(gone))  # somebody has removed it
            # a segment that has a successor in this list was finished before the list was made
            return sum(self._take(segment, finished=self._spool.closed or segment != mine[-1]) for segment in mine)

    def adopt_orphans(self) -> list[str]:
        """Take over the spools of processes that have ended; returns their ids. Raises DBAPIError."""
        with self._one_at_a_time:
            ids = {path.stem for path in self._folder.glob("*.lock")} | {segment.process_id for segment in segments(self._folder)}
            return [id for id in sorted(ids - {self._spool.process_id}) if self._adopt(id)]

    def close(self) -> None:
        """End the spool and drain it. What cannot be drained now stays for whoever adopts it."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._spool.close()
        try:
            self.drain()
            self._end(self._spool.process_id)
        except GONE as error:
            LOG.warning("usage stays in the spool and is taken by the next process that starts: %s", _one_line(error))
        finally:
            self._spool.release()

    def _run(self) -> None:
        adopt_at = time.monotonic()
        while not self._stop.is_set():
            begun = time.monotonic()
            adopt = begun >= adopt_at
            if adopt:
                adopt_at = begun + self._adopt_every_s
            self._round(adopt)
            self._stop.wait(self._interval_s)

    def _round(self, adopt: bool) -> None:
        try:
            self.drain()
            if adopt:
                self.adopt_orphans()
            if self._retention:
                self._retention.step()
            if self._failing:
                LOG.info("usage goes into the database again")
            self._failing = False
        except GONE as error:
            self._note_failure("usage waits in the spool: the database does not take it: %s", _one_line(error))
        except Exception as error:  # the thread must outlive whatever it is: nothing is lost, each round tries again
            self._note_failure("usage waits in the spool: %r", error)
        try:
            self._harm.look()
            self._spool.check_room()
        except OSError as error:
            self._note_failure("the spool's folder cannot be read: %r", error)

    def _note_failure(self, message: str, cause: object) -> None:
        if not self._failing:  # once for each outage
            LOG.error(message, cause, exc_info=isinstance(cause, Exception))
        self._failing = True

    def _adopt(self, process_id: str) -> bool:
        lock = try_lock(lock_path(self._folder, process_id))
        if lock is None:
            return False
        try:
            events = 0
            for segment in segments(self._folder):
                if segment.process_id == process_id:
                    events += self._take(segment, finished=True)
            self._end(process_id)
        except FileNotFoundError:  # a folder on several machines, where locks may not reach: another one was quicker
            return False
        finally:
            os.close(lock)
        LOG.info("adopted the spool of process %s, which has ended: %d events were not in the database yet", process_id, events)
        return True

    def _end(self, process_id: str) -> None:
        self._on_ended(process_id)
        if not any(segment.process_id == process_id for segment in segments(self._folder)):
            with self._database.write() as session:
                store.forget_segments_of(session, process_id)
        lock_path(self._folder, process_id).unlink()

    def _take(self, segment: Segment, *, finished: bool) -> int:
        """Take a segment's whole lines, batch by batch; a finished segment is removed after its last one."""
        path = segment.path(self._folder)
        mine = segment.process_id == self._spool.process_id
        # a segment may have a successor in the folder before its last events are on the disk, and answered
        finished = finished and not (mine and self._spool.takeable_bytes(segment) is not None)
        size = path.stat().st_size
        new = 0
        behind = size != self._taken.get(segment, 0)
        while behind:
            before = self._taken.get(segment, 0)
            added, read = self._take_batch(segment, path)
            if mine:  # not what was read: a commit whose answer never came may have taken more, a database that was restored less
                self._spool.note_taken(self._taken[segment] - before)
            if not read:  # what is left is a line without an end, or is not to be taken yet
                break
            new += added
            behind = self._taken[segment] < size  # what is appended meanwhile is of the next round, or batches would become ever smaller
        if finished:
            self._remove(segment, path, size)
        return new

    def _remove(self, segment: Segment, path: Path, size: int) -> None:
        if self._spool.durable and not store.make_durable(self._database):
            return  # the next round tries again: until then the file is all that would outlive a loss of power
        torn = size - self._taken.get(segment, 0)
        if torn > 0:
            LOG.warning("%s ends in the middle of a line: %d bytes of a call that was not answered are dropped", path.name, torn)
            if segment.process_id == self._spool.process_id:
                self._spool.note_taken(torn)
        path.unlink()
        self._taken.pop(segment, None)
        with self._database.write() as session:
            store.forget_segment(session, segment.id)

    def _take_batch(self, segment: Segment, path: Path) -> tuple[int, int]:
        """One transaction: events, summaries, counts and how far the segment has been taken. Returns new events and bytes."""
        now = datetime.now(UTC)
        with self._database.write() as session:
            taken = store.claim_segment(session, segment.id, now)
            if path.stat().st_size < taken:  # somebody has cut it short: what is there already is told by its ids
                LOG.error("%s is shorter than what was taken of it: it is read again from its beginning", path.name)
                taken = 0
            lines = self._read_lines(segment, path, taken)
            batch = read_batch(lines) if lines else Batch()
            new = store.insert_batch(session, batch.events)
            store.add_refused(session, batch.refused)
            if lines:
                store.set_taken_bytes(session, segment.id, taken + len(lines), now)
            self._set_aside(segment, batch)  # rather twice, when the commit fails, than never
        self._taken[segment] = taken + len(lines)
        return new, len(lines)

    def _read_lines(self, segment: Segment, path: Path, offset: int) -> bytes:
        limit = self._spool.takeable_bytes(segment) if segment.process_id == self._spool.process_id else None
        most = self._batch_bytes if limit is None else min(self._batch_bytes, max(0, limit - offset))
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(most)
        return whole_lines(data, self._batch_bytes)

    def _set_aside(self, segment: Segment, batch: Batch) -> None:
        for line, why in batch.rejected:
            LOG.error("a line of spool %s is no usage event and is kept in %s.rejected: %s", segment.id, segment.id, why)
            _set_aside(self._folder / f"{segment.id}.rejected", line)


def _set_aside(path: Path, line: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, line + b"\n")
    finally:
        os.close(file)


def _one_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
