"""`gatehouse dev` as a process of its own, in a folder of its own."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

READY_S = 240.0
GATEHOUSE = str(Path(sys.executable).with_name("gatehouse"))


@dataclass(frozen=True, slots=True)
class DevServer:
    """`folder` is its working folder."""

    folder: Path
    environment: dict[str, str]
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def printed(self) -> str:
        """What it has said so far."""
        return _log(self.folder, self.port).read_text(encoding="utf-8")

    @property
    def key(self) -> str:
        """The demo tenant's key as it was printed."""
        (key,) = set(re.findall(r"gate_\w+", self.printed))
        return key

    def command(self, *arguments: str) -> str:
        """The output of a `gatehouse` command on the same deployment; it must succeed."""
        done = subprocess.run([GATEHOUSE, *arguments], cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextmanager
def dev_server(folder: Path, **settings: str) -> Iterator[DevServer]:
    """Start it and wait until it serves; `settings` are GATEHOUSE_… variables."""
    foreign = {name: value for name, value in os.environ.items() if not name.startswith("GATEHOUSE_")}
    environment = foreign | {"GATEHOUSE_STATE_DIR": str(folder / ".gatehouse")} | settings
    server = DevServer(folder, environment, _free_port())
    with (
        _log(folder, server.port).open("wb") as output,
        subprocess.Popen(
            [GATEHOUSE, "dev", "--port", str(server.port)], cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            _wait_until_ready(server, process)
            yield server
        finally:
            process.terminate()
            assert process.wait(60) in (0, -signal.SIGTERM), server.printed


def _wait_until_ready(server: DevServer, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_S
    while True:
        try:
            urllib.request.urlopen(f"{server.url}/health/ready", timeout=5).close()
            return
        except OSError:  # refused, or not answered while models are still trained
            assert process.poll() is None, server.printed
            assert time.monotonic() < deadline, server.printed
            time.sleep(0.05)


def _log(folder: Path, port: int) -> Path:
    return folder / f"dev-{port}.log"


def _free_port() -> int:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port: int = chosen.getsockname()[1]
        return port
