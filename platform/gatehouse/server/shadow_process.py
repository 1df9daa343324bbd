"""The serving process's end of the process in which other versions score: started when it is asked, killed when it does not answer."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from time import monotonic

from gatehouse.server.shadow_wire import Question, Reply, Silence, receive_reply, send
from gatehouse.serving.runtime import ONE_THREAD, without_secrets

START_S = 60.0
"""For its imports, beside the time of the first question."""


class ShadowProcess:
    """Asked by one thread, which must live as long as the process: the system ends it with the thread that began it."""

    def __init__(self, models: Path, trusted: Path) -> None:
        self._folders = [str(models.resolve()), str(trusted.resolve())]
        self._lock = Lock()
        self._closed = False
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None

    @property
    def pid(self) -> int | None:
        """None where it does not run."""
        return self._process.pid if self._process is not None else None

    @property
    def running(self) -> bool:
        """False where it was never started or has ended, by itself or by somebody else's hand."""
        ended = os.WEXITED | os.WNOHANG | os.WNOWAIT  # not waited for yet: until `end` its number is nobody else's
        return self._process is not None and os.waitid(os.P_PID, self._process.pid, ended) is None

    def ask(self, question: Question, parts: Sequence[memoryview | bytes], seconds: float) -> Reply:
        """Its answer, or Silence: then it is gone, and the next question begins another one."""
        deadline = monotonic() + seconds
        line = self._line
        if line is None:
            line, deadline = self._start(), deadline + START_S
        try:
            send(line, question, parts, deadline)
            return receive_reply(line, deadline)
        except Silence:
            self.end()
            raise

    def end(self) -> None:
        """Kill it, with whatever it has begun, and wait for its end."""
        with self._lock:
            process, line = self._process, self._line
            self._process = self._line = None
        if line is not None:
            line.close()
        if process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def close(self) -> None:
        """From any thread: whatever is asked now is answered with Silence at once, and so is all that comes."""
        with self._lock:
            self._closed = True
            if self._line is not None:
                with suppress(OSError):
                    self._line.shutdown(socket.SHUT_RDWR)

    def _start(self) -> socket.socket:
        """Raises Silence."""
        try:
            ours, its = socket.socketpair()
        except OSError as error:
            raise _not_started(error) from None
        command = [sys.executable, "-P", "-m", "gatehouse.server.shadow_child", str(its.fileno()), *self._folders, str(os.getpid())]
        nowhere = subprocess.DEVNULL  # a model may print what it was sent
        with self._lock:
            if self._closed:
                ours.close()
                its.close()
                raise Silence("closed")
            try:
                # a group of its own, which Ctrl-C in the terminal does not reach; no session, beside which its priority would mean nothing
                self._process = subprocess.Popen(
                    command,
                    env=without_secrets() | ONE_THREAD,
                    stdin=nowhere,
                    stdout=nowhere,
                    stderr=nowhere,
                    pass_fds=[its.fileno()],
                    process_group=0,
                )
            except OSError as error:
                ours.close()
                raise _not_started(error) from None
            finally:
                its.close()
            self._line = ours
        return ours


def _not_started(error: OSError) -> Silence:
    return Silence(f"it cannot be started ({type(error).__name__})")
