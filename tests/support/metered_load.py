"""Calls under load, each with an id and a number of rows of its own, and what of them must be in the database afterwards."""

import itertools
import json
import random
import re
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlmodel import select
from stage import IRIS_ROW, Stage, wait_until

from gatehouse.db.tables import SpoolSegmentTable, UsageEventTable
from gatehouse.usage.ledger_store import check, hold_still, tenant_days

ANSWER_S = 60
"""A client gives up after it. Longer than a busy machine needs, or a call would be unread without a kill."""
SHOWN = 5
BODIES = {rows: json.dumps({"instances": [IRIS_ROW] * rows}).encode() for rows in (1, 2, 3)}


@dataclass
class Load:
    """Clients that call whichever server they find, what they have sent and what they have read whole."""

    key: str
    clients: int = 4
    sent: dict[str, int] = field(default_factory=dict)
    """Rows by request id."""
    read: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Status and rows that count, by request id."""
    under_way: dict[int, str] = field(default_factory=dict)
    """Request id by client."""
    kills: list[set[str]] = field(default_factory=list)
    """For each kill, the calls that were under way at some moment of it."""
    ports: list[int] = field(default_factory=list)
    go: threading.Event = field(default_factory=threading.Event)
    """Not set while a server starts, which would take long beside them."""
    done: threading.Event = field(default_factory=threading.Event)
    _killing: bool = False
    _threads: list[threading.Thread] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Clients call; none does any more afterwards."""
        self._threads = [threading.Thread(target=self._client, args=(number,)) for number in range(self.clients)]
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self.stop()

    def stop(self) -> None:
        """No call is under way afterwards."""
        self.done.set()
        self.go.set()
        for thread in self._threads:
            thread.join(ANSWER_S)

    @contextmanager
    def kill(self) -> Iterator[None]:
        """Around a kill, from before it until the process is gone."""
        self.kills.append(set())
        self._killing = True
        self.kills[-1] |= set(self.under_way.values())
        yield
        self._killing = False

    def goes_on(self, answers: int, seconds: float = 60) -> None:
        """Wait until so many more have been read."""
        enough = len(self.read) + answers
        wait_until(lambda: len(self.read) >= enough, seconds)

    def _client(self, number: int) -> None:
        chance = random.Random(number)
        lines: dict[int, Line] = {}
        for count in itertools.count():
            self.go.wait()
            if self.done.is_set():
                break
            port = chance.choice(self.ports)
            request_id, rows = f"load-{number:02d}-{count:08d}", chance.randint(1, 3)
            self.sent[request_id] = rows
            self.under_way[number] = request_id
            if self._killing:
                self.kills[-1].add(request_id)
            try:
                line = lines.get(port) or lines.setdefault(port, Line(port, self.key))
                self.read[request_id] = line.call(request_id, rows)
            except OSError:  # its server was killed
                if port in lines:
                    lines.pop(port).socket.close()
        for line in lines.values():
            line.socket.close()


class Line:
    """A connection that is kept. Leaner than a library's, so that a machine is busy with the servers rather than with their clients."""

    def __init__(self, port: int, key: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), ANSWER_S)
        self._head = (
            f"POST /v1/models/iris/predict HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json"
        )

    def call(self, request_id: str, rows: int) -> tuple[int, int]:
        """Status and number of predictions of an answer that was read whole. Raises OSError."""
        body = BODIES[rows]
        self.socket.sendall(f"{self._head}\r\nX-Request-Id: {request_id}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more()
        length = re.search(rb"content-length: (\d+)", data[:end].lower())
        assert length, data
        while len(data) < end + 4 + int(length[1]):
            data += self._more()
        status = int(data[9:12])
        return status, len(json.loads(data[end + 4 :])["predictions"]) if status == 200 else 0

    def _more(self) -> bytes:
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionResetError("closed before the answer was whole")
        return data


def faults_of(stage: Stage, load: Load) -> list[str]:
    """What is not as it must be: each answer metered once with its rows, nothing else but calls that a kill cut off, sums equal."""
    with stage.database.read() as session:
        table = UsageEventTable
        events = session.exec(select(table.request_id, table.status, table.rows)).all()
        segments = session.exec(select(SpoolSegmentTable.id)).all()
    metered = {request_id: (status, rows) for request_id, status, rows in events}
    times = Counter(request_id for request_id, _, _ in events)
    unread = metered.keys() - load.read.keys()
    found = {
        "answers other than 200": [f"{id}: {status}" for id, (status, _) in load.read.items() if status != 200],
        "answers with other rows than were sent": [
            id for id, (status, rows) in load.read.items() if status == 200 and rows != load.sent[id]
        ],
        "answers without an event": list(load.read.keys() - metered.keys()),
        "events that are there more than once": [f"{id}: {count} times" for id, count in times.items() if count > 1],
        "events with another status or other rows than the answer": [
            f"{id}: event {metered[id]}, answer {answer}" for id, answer in load.read.items() if metered.get(id, answer) != answer
        ],
        "events of calls that nobody sent": list(metered.keys() - load.sent.keys()),
        "events without an answer whose call no kill cut off": list(unread.difference(*load.kills)),
        "events without an answer with other rows than were sent": [
            f"{id}: event {metered[id]}" for id in unread & load.sent.keys() if metered[id] != (200, load.sent[id])
        ],
        "kills with more events without an answer than calls were under way": [
            f"kill {number}: {len(unread & cut_off)}"
            for number, cut_off in enumerate(load.kills, 1)
            if len(unread & cut_off) > load.clients
        ],
        "segments that the database still knows": list(segments),
        "files left in the spool": [path.name for path in (stage.state_dir / "spool").iterdir()],
        "sums that do not equal their events": unequal_sums(stage),
    }
    return [f"{len(ids)} {what}: {', '.join(sorted(ids)[:SHOWN])}" for what, ids in found.items() if ids]


def unequal_sums(stage: Stage) -> list[str]:
    """As `gatehouse usage verify` finds them."""
    with stage.database.read() as session:
        days = tenant_days(session, None, None, None)
    unequal = []
    for of in days:
        with stage.database.read() as session:
            hold_still(session)
            checked = check(session, of)
        unequal += [f"{of.date} {difference}" for difference in checked.differences]
        unequal += [f"{of.date} is sealed"] * checked.sealed
    return unequal
