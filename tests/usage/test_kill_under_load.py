"""kill -9 of servers under load: what a client has read whole is metered once, and summaries equal events."""

import random
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest
from metered_load import Load, faults_of
from serving_process import ServingProcess, serving_process
from stage import Stage, wait_until

pytestmark = pytest.mark.endpoints("iris v1")
SERVERS = 2


class Servers:
    """Processes on one deployment; each can be killed and is followed by another one."""

    def __init__(self, stage: Stage, load: Load) -> None:
        self._stage = stage
        self._load = load
        self._stacks: list[ExitStack] = []
        self._running: list[ServingProcess] = []

    def start(self) -> None:
        self._load.go.clear()
        stack = ExitStack()
        server = stack.enter_context(serving_process(self._stage))
        self._stacks.append(stack)
        self._running.append(server)
        self._load.ports = [server.port for server in self._running]  # anew: clients may be choosing from the old ones
        self._load.go.set()

    def kill(self, place: int) -> None:
        """In the middle of its calls; then another one takes its place."""
        server = self._running.pop(place)
        with self._load.kill():
            server.process.kill()
            server.process.wait()
        self._load.ports = [server.port for server in self._running]
        self._stacks.pop(place).close()
        self.start()

    def terminate(self) -> list[int]:
        return [server.terminate() for server in self._running]

    def close(self) -> None:
        for stack in self._stacks:
            stack.close()


def kill_under_load(stage: Stage, kills: int, answers: int) -> Load:
    """Kill random servers at random moments, until clients have read so many answers."""
    chance, load = random.Random(7), Load(stage.tenant("acme", "iris"))
    servers = Servers(stage, load)
    a_kill = answers // (kills + 1)
    try:
        for _ in range(SERVERS):
            servers.start()
        with load.running():
            for kill in range(kills):
                wanted = kill * a_kill + chance.randrange(a_kill // 2, a_kill)
                wait_until(lambda wanted=wanted: len(load.read) >= wanted, 600)
                servers.kill(chance.randrange(SERVERS))
            wait_until(lambda: len(load.read) >= answers, 600)
        wait_until(lambda: all_adopted(stage.state_dir / "spool"), 60)
        assert set(servers.terminate()) <= {0, -signal.SIGTERM}
    finally:
        servers.close()
    return load


def all_adopted(folder: Path) -> bool:
    """Only the locks of those that run are left."""
    return len(list(folder.glob("*.lock"))) == SERVERS


def test_row_101_kill_9_under_load_meters_each_answer_once(stage_on_each_database: Stage) -> None:
    load = kill_under_load(stage_on_each_database, kills=2, answers=900)
    assert faults_of(stage_on_each_database, load) == []


@pytest.mark.soak
def test_row_101_twenty_kills_and_200_000_answers(stage_on_each_database: Stage) -> None:
    load = kill_under_load(stage_on_each_database, kills=20, answers=200_000)
    assert (len(load.read) >= 200_000, len(load.kills)) == (True, 20)
    assert faults_of(stage_on_each_database, load) == []
