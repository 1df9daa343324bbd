"""The process in which other versions score: one question after the other, until the serving process ends.

`python -m gatehouse.server.shadow_child SOCKET MODELS TRUSTED_KEYS PARENT`. It gets no setting, no secret and no connection but the socket
pair; a hang, a crash, a full memory or a lock of the interpreter in here is no more than silence out there.
"""

import ctypes
import os
import platform
import signal
import socket
import sys
import warnings
from contextlib import suppress
from pathlib import Path

from gatehouse.server.shadow_scoring import Comparison, load_comparison
from gatehouse.server.shadow_wire import (
    Compared,
    Pair,
    Prepare,
    Question,
    Ready,
    Reply,
    Silence,
    Unusable,
    matrix_of,
    receive_question,
    send,
)
from gatehouse.serving.engine import Scores
from gatehouse.serving.registry import NotServable
from gatehouse.serving.repository import Repository
from gatehouse.serving.trust import FollowedKeys

NICENESS = 10
"""Where processors are short, everything else of the deployment comes first."""
SLICE_NS = 100_000
SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
"""Number of the system call."""
PR_SET_PDEATHSIG = 1
FIRST_TO_DIE = "1000"
MOST_REASON = 1000


class Answering:
    """Answers questions; keeps what it has loaded for them."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._ready: dict[Pair, Comparison] = {}

    def answer(self, question: Question, parts: list[bytes], scores: Scores) -> Reply:
        """Raises nothing that the other version raises."""
        if isinstance(question, Prepare):
            return self._prepare(question)
        comparison = self._ready.get(question.pair)
        if comparison is None:
            return Unusable(f"{question.pair} is not loaded"[:MOST_REASON])
        rows = sum(rows for _, rows in question.calls)
        values = matrix_of(parts, numeric=question.numeric, rows=rows)
        return Compared(comparison.results(values, scores, question.calls, question.apart_s))

    def _prepare(self, question: Prepare) -> Reply:
        self._ready = {pair: ready for pair, ready in self._ready.items() if pair in question.keep}
        try:
            self._ready[question.pair] = load_comparison(self._repository, question.pair)
        except NotServable as error:
            return Unusable(error.reason[:MOST_REASON])
        except (Exception, SystemExit) as error:  # a model runs code of its own when it is loaded
            return Unusable(f"{question.pair.model} {question.pair.other_version} cannot be loaded ({type(error).__name__})")
        return Ready()


def main(line: socket.socket, models: Path, trusted: Path, parent: int) -> None:
    """Until the other side ends."""
    warnings.simplefilter("ignore")
    end_with(parent)
    come_last()
    answering = Answering(Repository(models, FollowedKeys(trusted)))
    with suppress(Silence):
        while True:
            send(line, answering.answer(*receive_question(line)))
    os._exit(0)  # a model may have left threads that never end


def end_with(parent: int) -> None:
    """Have the system kill this process when its parent is gone, however it went and whatever hangs here.

    Elsewhere than on Linux it ends with the next question that does not come.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it went before
            os._exit(0)


class Scheduling(ctypes.Structure):
    """Linux's `struct sched_attr`; `runtime` is the slice in ns, where the kernel knows one (6.12 and later)."""

    _fields_ = [
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime", ctypes.c_uint64),
        ("deadline", ctypes.c_uint64),
        ("period", ctypes.c_uint64),
    ]


def come_last() -> None:
    """Lowest in priority, and first to be killed where memory runs out."""
    nice = os.nice(NICENESS)
    call = SCHED_SETATTR.get(platform.machine()) if sys.platform == "linux" else None
    if call is not None:  # whoever wakes up waits for the end of a slice, which is 3 ms unless told
        wish = Scheduling(ctypes.sizeof(Scheduling), 0, 0, nice, 0, SLICE_NS, 0, 0)
        ctypes.CDLL(None).syscall(call, 0, ctypes.byref(wish), 0)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_DIE)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
