"""Keeps N worker processes on one port: one that dies is replaced, and a signal drains all of them."""

import ctypes
import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.process import BaseProcess
from types import FrameType

from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOGGER = logging.getLogger("gatehouse.workers")
SHORT_LIFE_S = 10.0
LONGEST_PAUSE_S = 30.0
ENDING = (signal.SIGTERM, signal.SIGINT)


@dataclass(slots=True)
class _Worker:
    """One place among the workers. `id` is that of the process row."""

    id: str
    process: SpawnProcess
    ready: Connection
    begun: float
    serves: bool = False


class Supervisor:
    """`spawn(id, ready)` makes a process that is not started yet, which writes to `ready` once it serves. Used on the main thread.

    `all_end` lies in memory that the workers share: set before all of them are ended.
    """

    def __init__(
        self,
        spawn: Callable[[str, Connection], SpawnProcess],
        new_id: Callable[[], str],
        died: Callable[[str], None],
        all_end: ctypes.c_bool,
    ) -> None:
        self._all_end = all_end
        self._spawn = spawn
        self._new_id = new_id
        self._died = died
        self._workers: list[_Worker] = []
        self._due: list[float] = []
        """When a replacement is to be started, for each worker that is missing."""
        self._short_lives = 0
        self._served = self._ending = False
        self._code = 0
        self._wake, self._woken = socket.socketpair()

    def run(self, workers: int) -> int:
        """Keep so many until a signal ends it; 0, or the exit code of a worker that ended before any had served."""
        for end in (self._wake, self._woken):
            end.setblocking(False)
        before = [signal.signal(number, self._end) for number in ENDING]
        fd_before = signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        try:
            self._due = [time.monotonic()] * workers
            while self._workers or (self._due and not self._ending):
                self._start_due()
                self._wait()
        finally:
            signal.set_wakeup_fd(fd_before)
            for number, handler in zip(ENDING, before, strict=True):
                signal.signal(number, handler)
            self._wake.close()
            self._woken.close()
        return self._code

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self._stop()

    def _stop(self) -> None:
        self._ending = self._all_end.value = True
        for worker in self._workers:
            worker.process.terminate()

    def _start_due(self) -> None:
        now = time.monotonic()
        while self._due and self._due[0] <= now and not self._ending:
            self._due.pop(0)
            self._start(now)

    def _start(self, now: float) -> None:
        told, ready = multiprocessing.Pipe(duplex=False)
        id = self._new_id()
        worker = _Worker(id, self._spawn(id, ready), told, now)
        worker.process.start()
        ready.close()
        self._workers.append(worker)
        if self._ending:  # the signal came before the worker was on the list
            worker.process.terminate()

    def _wait(self) -> None:
        pause = None if self._ending or not self._due else max(0.0, self._due[0] - time.monotonic())
        told = [worker.ready for worker in self._workers if not worker.serves]
        wait([self._woken, *told, *(worker.process.sentinel for worker in self._workers)], pause)
        with suppress(BlockingIOError):
            self._woken.recv(64)
        for worker in list(self._workers):
            self._look_at(worker)

    def _look_at(self, worker: _Worker) -> None:
        if not worker.serves and worker.ready.poll():
            worker.serves = _heard(worker.ready)
            self._served = self._served or worker.serves
            if not worker.serves:  # it closed its end: it is about to end
                worker.process.join()
        if worker.process.is_alive():
            return
        worker.process.join()
        worker.ready.close()
        self._workers.remove(worker)
        if not self._ending:
            self._replace(worker)

    def _replace(self, worker: _Worker) -> None:
        code = worker.process.exitcode or 0
        if not self._served:  # whatever it is, the next one would find it as well; the worker has said it unless it was killed
            self._code = code if code > 0 else 1
            if code < 0:
                LOGGER.error("worker %d was killed by signal %d before it served: is the memory too small?", worker.process.pid, -code)
            self._stop()
            return
        lived = time.monotonic() - worker.begun
        self._short_lives = self._short_lives + 1 if lived < SHORT_LIFE_S else 0
        pause = min(LONGEST_PAUSE_S, 2.0 ** (self._short_lives - 1)) if self._short_lives else 0.0
        LOGGER.warning("worker %d ended (exit code %d); another one is started in %.0f s", worker.process.pid, code, pause)
        self._due = sorted([*self._due, time.monotonic() + pause])
        self._died(worker.id)


def _heard(ready: Connection) -> bool:
    try:
        ready.recv_bytes()
    except (EOFError, OSError):
        return False
    return True


def announcing(app: ASGIApp, ready: Connection) -> ASGIApp:
    """The app, which says to the supervisor when its start is complete."""

    async def announced(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return

        async def told(message: Message) -> None:
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                ready.send_bytes(b"ready")

        await app(scope, receive, told)

    return announced


def others_go_on(all_end: ctypes.c_bool) -> bool:
    """Whether this worker ends alone: the others, and the one in its place, go on listening."""
    parent = multiprocessing.parent_process()
    return not all_end.value and parent is not None and parent.is_alive()


def end_with_parent() -> None:
    """Drain this worker when its supervisor is gone, however it went."""
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process(),), name="supervisor", daemon=True).start()


def _end_with(parent: BaseProcess | None) -> None:
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
