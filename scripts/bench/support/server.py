"""A server with the demo models in a folder of its own, for benches that measure it from outside."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

GATEHOUSE = str(Path(sys.executable).with_name("gatehouse"))


@contextmanager
def serving(folder: Path) -> Iterator[tuple[int, Callable[..., str]]]:
    """A server's port, and what runs a command on its deployment."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    foreign = {name: value for name, value in os.environ.items() if not name.startswith("GATEHOUSE_")}
    environment = foreign | {"GATEHOUSE_STATE_DIR": str(folder / ".gatehouse"), "GATEHOUSE_LOG_FORMAT": "json"}

    def run(*words: str) -> str:
        return subprocess.run([GATEHOUSE, *words], env=environment, cwd=folder, capture_output=True, text=True, check=True).stdout

    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen([GATEHOUSE, "dev", "--port", str(port)], env=environment, cwd=folder, stdout=log, stderr=log) as server,
    ):
        try:
            wait_until_ready(port, server)
            yield port, run
        finally:
            server.terminate()


def wait_until_ready(port: int, server: "subprocess.Popen[bytes]") -> None:
    """Until it serves."""
    while server.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("the server has ended")
