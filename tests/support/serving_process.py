"""`gatehouse serve` as a process of its own, for what a server in a thread cannot show: exit codes, signals and its whole log."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from stage import Stage, wait_until

from gatehouse.server.run import bind

GATEHOUSE = str(Path(sys.executable).with_name("gatehouse"))


@dataclass(frozen=True, slots=True)
class ServingProcess:
    """`log` is the file with all that it writes."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def terminate(self, seconds: float = 40) -> int:
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)


def environment_of(values: Mapping[str, str]) -> dict[str, str]:
    """Only these GATEHOUSE_ variables; the estimators of the tests can be imported."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("GATEHOUSE_")}
    search = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
    return plain | {"PYTHONPATH": search} | dict(values)


def refusal_of(values: Mapping[str, str], folder: Path) -> tuple[int, str]:
    """Exit code and output of a `gatehouse serve` that does not start."""
    done = subprocess.run(
        [GATEHOUSE, "serve", "--port", "1"], cwd=folder, env=environment_of(values), capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout + done.stderr


@contextmanager
def serving_process(stage: Stage, port: int = 0, workers: int = 1, **settings: str) -> Iterator[ServingProcess]:
    """Start it on a deployment, on a free port unless one is given, and wait until it is ready."""
    port = port or free_port()
    more = {f"GATEHOUSE_{name.upper()}": value for name, value in settings.items()}
    values = {**stage.values, "GATEHOUSE_STATE_DIR": str(stage.state_dir), "GATEHOUSE_LOG_FORMAT": "json", **more}
    log = stage.state_dir / "serve.log"
    with (
        log.open("ab") as output,
        subprocess.Popen(
            [GATEHOUSE, "serve", "--port", str(port), "--workers", str(workers)], env=environment_of(values), stdout=output, stderr=output
        ) as process,
    ):
        try:
            wait_until(lambda: process.poll() is not None or _ready(port), 60)
            assert process.poll() is None, log.read_text(encoding="utf-8")
            yield ServingProcess(process, port, log)
        finally:
            if process.poll() is None:
                process.kill()


def free_port() -> int:
    """A port that nobody listens on."""
    chosen = bind("127.0.0.1", 0)
    with chosen:
        return int(chosen.getsockname()[1])


def _ready(port: int) -> bool:
    """Asked without httpx2, each of whose clients loads the system's certificates: 25 ms of a core that the start needs."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
