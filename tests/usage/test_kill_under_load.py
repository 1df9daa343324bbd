"""kill -9 of servers under load: what a client has read whole is metered once, and summaries equal events."""

import http.client
import itertools
import json
import random
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from serving_process import ServingProcess, serving_process
from sqlmodel import select
from stage import IRIS_ROW, Stage, wait_until

from gatehouse.db.session import Database
from gatehouse.db.tables import SpoolSegmentTable, UsageEventTable
from gatehouse.usage.ledger_store import check, hold_still, tenant_days

CLIENTS = 4
SERVERS = 2


@dataclass
class Load:
    """Clients that call whichever server they find, and what they have sent and read whole."""

    key: str
    sent: dict[str, int] = field(default_factory=dict)
    """Rows by request id; so for `read`."""
    read: dict[str, int] = field(default_factory=dict)
    ports: list[int] = field(default_factory=list)
    go: threading.Event = field(default_factory=threading.Event)
    """Not set while a server starts, which would take long beside them."""
    done: threading.Event = field(default_factory=threading.Event)

    def client(self, number: int) -> None:
        chance, connections = random.Random(number), {}
        for count in itertools.count():
            self.go.wait()
            if self.done.is_set():
                break
            port = chance.choice(self.ports)
            connection = connections.setdefault(port, http.client.HTTPConnection("127.0.0.1", port, timeout=20))
            request_id, rows = f"load-{number:02d}-{count:08d}", chance.randint(1, 3)
            self.sent[request_id] = rows
            try:
                self._call(connection, request_id, rows)
            except (OSError, http.client.HTTPException, ValueError):  # its server was killed
                connection.close()
                connections.pop(port, None)
        for connection in connections.values():
            connection.close()

    def _call(self, connection: http.client.HTTPConnection, request_id: str, rows: int) -> None:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json", "X-Request-Id": request_id}
        connection.request("POST", "/v1/models/iris/predict", json.dumps({"instances": [IRIS_ROW] * rows}), headers)
        answer = connection.getresponse()
        predictions = json.loads(answer.read()).get("predictions")
        if answer.status == 200:
            assert len(predictions) == rows
            self.read[request_id] = rows


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
        self._running[place].process.kill()
        self._running.pop(place).process.wait()
        self._load.ports = [server.port for server in self._running]
        self._stacks.pop(place).close()
        self.start()

    def terminate(self) -> list[int]:
        codes = [server.terminate() for server in self._running]
        for stack in self._stacks:
            stack.close()
        return codes

    def close(self) -> None:
        for stack in self._stacks:
            stack.close()


@pytest.fixture
def load(stage_on_each_database: Stage) -> Iterator[Load]:
    load = Load(stage_on_each_database.tenant("acme", "iris"))
    yield load
    load.done.set()


def kill_under_load(stage: Stage, load: Load, kills: int, answers_a_kill: int) -> None:
    chance, servers = random.Random(7), Servers(stage, load)
    try:
        for _ in range(SERVERS):
            servers.start()
        clients = [threading.Thread(target=load.client, args=(number,)) for number in range(CLIENTS)]
        for client in clients:
            client.start()
        for kill in range(kills):
            wanted = (kill + 1) * answers_a_kill + chance.randrange(answers_a_kill // 2)
            wait_until(lambda wanted=wanted: len(load.read) >= wanted, 600)
            servers.kill(chance.randrange(SERVERS))
        wait_until(lambda: len(load.read) >= (kills + 1) * answers_a_kill, 600)
        load.done.set()
        for client in clients:
            client.join()
        wait_until(lambda: all_adopted(stage.state_dir / "spool"), 60)
        assert set(servers.terminate()) <= {0, -signal.SIGTERM}
    finally:
        load.done.set()
        load.go.set()
        servers.close()


def all_adopted(folder: Path) -> bool:
    """Only the locks of those that run are left."""
    return len(list(folder.glob("*.lock"))) == SERVERS


def assert_exact(stage: Stage, load: Load, kills: int) -> None:
    database: Database = stage.database
    with database.read() as session:
        events = session.exec(select(UsageEventTable)).all()
        assert session.exec(select(SpoolSegmentTable)).all() == []
        days = tenant_days(session, None, None, None)
    metered = Counter(event.request_id for event in events if event.status == 200)
    assert set(metered.values()) == {1}
    rows = {event.request_id: event.rows for event in events if event.status == 200}
    assert {request_id: rows.get(request_id) for request_id in load.read} == load.read
    unread = rows.keys() - load.read.keys()
    assert len(unread) <= kills * CLIENTS
    assert unread <= load.sent.keys()
    assert all(rows[request_id] == load.sent[request_id] for request_id in unread)
    for of in days:
        with database.read() as session:
            hold_still(session)
            checked = check(session, of)
        assert (checked.sealed, checked.differences) == (False, [])
    assert list((stage.state_dir / "spool").iterdir()) == []


def test_row_101_kill_9_under_load_meters_each_answer_once(stage_on_each_database: Stage, load: Load) -> None:
    kill_under_load(stage_on_each_database, load, kills=2, answers_a_kill=300)
    assert_exact(stage_on_each_database, load, kills=2)


@pytest.mark.soak
def test_row_101_twenty_kills_and_200_000_answers(stage_on_each_database: Stage, load: Load) -> None:
    kill_under_load(stage_on_each_database, load, kills=20, answers_a_kill=9_600)
    assert len(load.read) >= 200_000
    assert_exact(stage_on_each_database, load, kills=20)
