"""Python processes whose libraries are there already: one that has imported them is forked for each.

Most of a short command, and nearly all of a conversion, is the import of libraries. The programs that are written here stand in for
`gatehouse` and for `python -P -m MODULE`: they hand arguments, environment, folder and open files to a process that has the libraries,
and end as its child ends, which imports the package itself anew. Needs pidfds (Linux); elsewhere the real programs are run.
"""

import gc
import io
import json
import os
import random
import runpy
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

LIBRARIES = (
    *("sqlmodel", "sqlalchemy.dialects.sqlite", "alembic.command", "typer", "rich.table", "rich.progress", "pydantic_settings", "msgspec"),
    *("cryptography.hazmat.primitives.asymmetric.ed25519", "numpy", "pandas", "sklearn.ensemble", "sklearn.pipeline", "skl2onnx", "joblib"),
)
"""Not onnxruntime, which the package tells something before it is imported."""
STUB = """#!{python} -IS
import json, os, signal, socket, sys
line = socket.socket(socket.AF_UNIX)
line.connect({address!r})
told = json.dumps({{"start": {start!r}, "words": sys.argv, "folder": os.getcwd(), "environment": dict(os.environ)}})
socket.send_fds(line, [told.encode() + b"\\n"], [0, 1, 2])
line.setblocking(True)
for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(each, lambda number, frame: line.send(bytes([number])))
ended = int(line.recv(20) or b"-9")
if ended < 0:
    signal.signal(-ended, signal.SIG_DFL) if ended != -9 else None
    os.kill(os.getpid(), -ended)
os._exit(ended)
"""


@dataclass(frozen=True, slots=True)
class Programs:
    gatehouse: Path
    python: Path
    """For `-P -m MODULE ARGUMENTS` alone."""

    def make_environment(self, folder: Path) -> None:
        """An environment like this one, whose `gatehouse` starts quickly."""
        (folder / "bin").mkdir(parents=True)
        for inside, place in ((Path(sys.prefix), folder), (Path(sys.prefix) / "bin", folder / "bin")):
            for path in inside.iterdir():
                if path.name not in ("bin", "gatehouse"):
                    (place / path.name).symlink_to(path)
        (folder / "bin" / "gatehouse").symlink_to(self.gatehouse)


@contextmanager
def quick_start() -> Iterator[Programs]:
    real = Path(sys.executable)
    if not hasattr(os, "pidfd_open"):
        yield Programs(real.with_name("gatehouse"), real)
        return
    folder = Path(tempfile.mkdtemp(prefix="gatehouse-starts-"))  # a socket's path must be short
    address = str(folder / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(64)
        for name in ("gatehouse", "python"):
            (folder / name).write_text(STUB.format(python=real, address=address, start=name))
            (folder / name).chmod(0o755)
        words = [str(real), "-P", __file__, str(listener.fileno())]
        threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}  # a process with threads is not to be forked
        plain = {name: value for name, value in os.environ.items() if not name.startswith("GATEHOUSE_")}
        process = subprocess.Popen(words, env=plain | threads, pass_fds=[listener.fileno()], stdin=subprocess.PIPE)
    try:
        yield Programs(folder / "gatehouse", folder / "python")
    finally:
        process.communicate()
        shutil.rmtree(folder)


class Starter:
    """Forks at each request until its own parent has gone; `serve` returns in the children alone."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._events = selectors.DefaultSelector()
        self._children: dict[int, tuple[int, socket.socket]] = {}
        """By pidfd: the process, and who waits for it."""

    def serve(self) -> dict[str, Any]:
        """What a child shall be."""
        self._events.register(sys.stdin, selectors.EVENT_READ, self._end)
        self._events.register(self._listener, selectors.EVENT_READ, self._accept)
        while True:
            for key, _ in self._events.select():
                wish = key.data(key.fileobj)
                if wish is not None:
                    return dict(wish)

    def _end(self, _: Any) -> None:
        for pid, _line in self._children.values():
            os.killpg(pid, signal.SIGKILL)
        sys.exit()

    def _accept(self, _: Any) -> dict[str, Any] | None:
        line, _address = self._listener.accept()
        told, files, _flags, _from = socket.recv_fds(line, 1 << 20, 3)
        while not told.endswith(b"\n"):
            part = line.recv(1 << 20)
            told += part
            if not part:  # whoever asks was killed before it had said what for
                line.close()
                for file in files:
                    os.close(file)
                return None
        for library in LIBRARIES:
            import_module(library)
        gc.freeze()
        pid = os.fork()
        if pid == 0:
            os.setsid()
            for place, file in enumerate(files):
                os.dup2(file, place)
            os.closerange(3, 1024)
            return dict(json.loads(told))
        for file in files:
            os.close(file)
        child = os.pidfd_open(pid)
        self._children[child] = (pid, line)
        self._events.register(child, selectors.EVENT_READ, self._ended)
        self._events.register(line, selectors.EVENT_READ, lambda _: self._signalled(child))
        return None

    def _signalled(self, child: int) -> None:
        """With nothing to read, who waits has been killed."""
        if child in self._children:
            pid, line = self._children[child]
            for number in line.recv(20) or [signal.SIGKILL]:
                with suppress(ProcessLookupError):
                    os.killpg(pid, number)

    def _ended(self, child: int) -> None:
        pid, line = self._children.pop(child)
        self._events.unregister(child)
        self._events.unregister(line)
        os.close(child)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with line, suppress(OSError):
            line.send(str(code).encode())


def become(wish: dict[str, Any]) -> None:
    """Run as a process of these words that was started there."""
    os.chdir(wish["folder"])
    os.environ.clear()
    os.environ.update(wish["environment"])
    time.tzset()
    random.seed()
    sys.path[:] = [*filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)), *sys.path]
    sys.stdin = sys.__stdin__ = io.TextIOWrapper(io.FileIO(0, closefd=False), encoding="utf-8")  # type: ignore[misc]
    for name, place, errors in (("stdout", 1, "strict"), ("stderr", 2, "backslashreplace")):
        file = io.BufferedWriter(io.FileIO(place, "w", closefd=False))
        stream = io.TextIOWrapper(file, encoding="utf-8", errors=errors, line_buffering=place == 2 or os.isatty(place))
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    program, *arguments = wish["words"]
    if wish["start"] == "gatehouse":
        sys.argv = [program, *arguments]
        import_module("gatehouse.cli").main()
    else:
        assert arguments[:2] == ["-P", "-m"]
        sys.argv = arguments[2:]
        runpy.run_module(arguments[2], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    become(Starter(socket.socket(fileno=int(sys.argv[1]))).serve())
