"""`gatehouse serve --workers`: several processes on one port, of which one that dies is replaced, and which a signal drains."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from stage import IRIS_ROW, Stage, free_port, instances, wait_until

from gatehouse.cli.serve_workers import touched
from gatehouse.db.session import Database
from gatehouse.principal import Plan, Rate
from gatehouse.server.store import Process, list_processes

pytestmark = pytest.mark.endpoints("iris v1")
NARROW = Plan("narrow", Rate(1000, 1, 2), Rate(1000, 1, 300), 1_000_000, "soft", 60, 1024 * 1024)
LARGE = Plan("large-calls", Rate(1000, 1, 1000), Rate(1000, 1, 100), 1_000_000, "soft", 60, 1024 * 1024)


class Server:
    """A server as operators start it."""

    def __init__(self, stage: Stage, port: int, said: Path, arguments: tuple[str, ...], **values: str) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GATEHOUSE_")}
        more = {f"GATEHOUSE_{name.upper()}": value for name, value in values.items()}
        with said.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", "from gatehouse.cli import main; main()", "serve", "--port", str(port), *arguments],
                env=environment | stage.values | more | {"GATEHOUSE_STATE_DIR": str(stage.state_dir)},
                stderr=log,
            )
        self.client = httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)
        self.database: Database = stage.database
        self._said = said

    def answers_at_once(self) -> bool:
        """A new connection is taken by somebody: without the second after which a dropped handshake is tried again."""
        return httpx2.get(self.client.base_url.join("/health"), timeout=httpx2.Timeout(20, connect=0.9)).status_code == 200

    @property
    def said(self) -> str:
        return self._said.read_text()

    def rows(self) -> dict[str, Process]:
        with self.database.read() as session:
            return {row.id: row for row in list_processes(session)}

    def serves(self) -> bool:
        assert self.process.poll() is None, self.said
        try:
            return self.client.get("/health").status_code == 200
        except httpx2.TransportError:
            return False

    def predict(self, key: str) -> int:
        """Over a connection of its own, so that each worker gets some."""
        url = self.client.base_url.join("/v1/models/iris/predict")
        return httpx2.post(url, json=instances(IRIS_ROW), headers={"x-api-key": key}, timeout=30).status_code


@contextmanager
def serving(stage: Stage, said: Path, *arguments: str, **values: str) -> Iterator[Server]:
    server = Server(stage, free_port(), said, arguments, **values)
    try:
        wait_until(server.serves, 60)
        yield server
    finally:
        server.client.close()
        server.process.terminate()
        assert server.process.wait(30) == 0, server.said


def test_workers_share_one_port_are_replaced_when_they_die_and_end_with_a_signal(stage_on_each_database: Stage, tmp_path: Path) -> None:
    stage = stage_on_each_database
    key = stage.tenant("acme", "iris")
    stage.plan(LARGE)
    with serving(stage, tmp_path / "log", "--workers", "2") as server:
        wait_until(lambda: len(server.rows()) == 2, 60)
        first = server.rows()
        assert {server.predict(key) for _ in range(20)} <= {200, 429}
        assert "each of 2 workers takes 1/2 of every limit" in server.said
        assert "plan large-calls: calls of more than 50 rows get 503 limit_share_too_small" in server.said
        killed = next(iter(first.values()))
        os.kill(killed.pid, signal.SIGKILL)
        wait_until(lambda: killed.id not in server.rows() and len(server.rows()) == 2, 60)
        assert server.process.poll() is None
        assert server.predict(key) in (200, 429)
        pids = [row.pid for row in server.rows().values()]
    assert not server.rows(), "each of them has drained and taken its row away"
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_worker_that_is_ended_alone_closes_the_door_for_none_but_itself(stage: Stage, tmp_path: Path) -> None:
    with serving(stage, tmp_path / "log", "--workers", "2") as server:
        wait_until(lambda: len(server.rows()) == 2, 60)
        ended = next(iter(server.rows().values()))
        os.kill(ended.pid, signal.SIGTERM)
        wait_until(lambda: server.answers_at_once() and ended.id not in server.rows() and len(server.rows()) == 2, 60)
        assert all(server.answers_at_once() for _ in range(20))


def test_a_start_that_fails_ends_with_the_one_line_of_its_worker(stage: Stage, tmp_path: Path) -> None:
    server = Server(stage, free_port(), tmp_path / "log", ("--workers", "2"), redis_url="http://localhost")
    assert server.process.wait(60) == 1
    assert "gatehouse: GATEHOUSE_REDIS_URL: must be redis://HOST:PORT/NUMBER" in server.said
    assert not server.rows()
    server.client.close()


def test_a_worker_that_is_killed_before_it_serves_ends_the_start_with_one_line(stage: Stage, tmp_path: Path) -> None:
    server = Server(stage, free_port(), tmp_path / "log", ("--workers", "2"))
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")

    def workers() -> list[int]:
        found = [int(pid) for pid in children.read_text().split()]
        return [pid for pid in found if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    wait_until(lambda: len(workers()) > 0, 30)
    killed = workers()[0]
    os.kill(killed, signal.SIGKILL)
    assert server.process.wait(60) == 1
    assert f"worker {killed} was killed by signal 9 before it served" in server.said
    server.client.close()


def test_a_supervisor_that_is_killed_takes_its_workers_along(stage: Stage, tmp_path: Path) -> None:
    server = Server(stage, free_port(), tmp_path / "log", ("--workers", "2"))
    wait_until(lambda: len(server.rows()) == 2, 60)
    server.process.kill()
    server.process.wait()
    wait_until(lambda: not server.rows(), 30)
    server.client.close()


@pytest.mark.parametrize(
    ("workers", "said"),
    [
        (2, ["plan large-calls: calls of more than 50 rows get 503 limit_share_too_small (the plan allows 60)"]),
        (
            3,
            [
                "plan narrow: its burst of 2 requests is too small for 3 shares: all calls get 503",
                "plan large-calls: calls of more than 33 rows get 503 limit_share_too_small (the plan allows 60)",
            ],
        ),
    ],
)
def test_the_plans_that_shares_are_too_small_for_are_named(workers: int, said: list[str]) -> None:
    assert list(touched([NARROW, LARGE], workers)) == said
