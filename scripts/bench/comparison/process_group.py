"""A server process with its children: started on chosen cores, frozen, thawed, and what it uses."""

import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

PROCESS_CLOCK = 2
"""CPUCLOCK_SCHED of the kernel: user and system time of all threads of a process, in nanoseconds."""
READY_S = 120.0
END_S = 30.0
MOST_FILES = 8192


class ProcessGroup:
    """One server. `cores` hold for all of its processes."""

    def __init__(self, words: Sequence[str], environment: Mapping[str, str], folder: Path, port: int, cores: set[int]) -> None:
        self.port = port
        self._log = folder / f"server-{port}.log"
        self._begun = time.perf_counter()
        with self._log.open("wb") as log:
            self._first = subprocess.Popen(
                words,
                env={**environment},
                cwd=folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=partial(placed, cores),
            )

    def wait_until_ready(self, path: str) -> float:
        """Seconds from the start until the path is answered. Raises SystemExit."""
        while time.perf_counter() - self._begun < READY_S and self._first.poll() is None:
            if answers(self.port, path):
                return time.perf_counter() - self._begun
            time.sleep(0.005)
        raise SystemExit(f"{' '.join(map(str, self._first.args))} does not serve:\n{self.said()[-2000:]}")  # type: ignore[arg-type]

    def said(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    @property
    def pids(self) -> list[int]:
        return descendants(self._first.pid)

    def cpu_s(self) -> float:
        """Processor time so far of every process that runs now."""
        return sum(cpu_s(pid) for pid in self.pids)

    def memory_bytes(self) -> int:
        """Resident; pages that processes share count in each."""
        return sum(resident(pid) for pid in self.pids)

    def freeze(self) -> None:
        os.killpg(self._first.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.killpg(self._first.pid, signal.SIGCONT)

    def end(self) -> None:
        """As an operator does; by force where that takes too long."""
        if self._first.poll() is None:
            self.thaw()
            self._first.terminate()
            try:
                self._first.wait(END_S)
            except subprocess.TimeoutExpired:
                os.killpg(self._first.pid, signal.SIGKILL)
                self._first.wait()


def ends_what_it_started() -> None:
    """On SIGTERM as on Ctrl-C: nothing that is frozen stays behind."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGINT, interrupt)  # also where a shell has started this in the background


def placed(cores: set[int], nice: int = 0) -> None:
    """In a new process: on those cores, with room for the most connections of any study, whatever this shell allows."""
    os.sched_setaffinity(0, cores)
    os.nice(nice)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


@contextmanager
def awake(server: ProcessGroup) -> Iterator[None]:
    """The only one of those that are frozen that runs meanwhile."""
    server.thaw()
    try:
        yield
    finally:
        server.freeze()


def cpu_s(pid: int) -> float:
    """0 where it has gone."""
    try:
        return time.clock_gettime((~pid << 3) | PROCESS_CLOCK)
    except OSError:
        return 0.0


def resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def descendants(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for each in found:
        for children in Path(f"/proc/{each}/task").glob("*/children"):
            try:
                found += map(int, children.read_text(encoding="ascii").split())
            except OSError:  # the thread has ended
                continue
    return found


def answers(port: int, path: str) -> bool:
    """Whether a GET of the path is answered as a server does that is ready; it need not have the path."""
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            return connection.recv(64).startswith((b"HTTP/1.1 200", b"HTTP/1.1 404", b"HTTP/1.1 405"))
    except OSError:
        return False


def free_port() -> int:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port: int = chosen.getsockname()[1]
        return port
