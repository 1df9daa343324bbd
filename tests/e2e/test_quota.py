"""A hard quota with several processes, three of them killed: never one row too many, and what is left is had in the end."""

import json
import random
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from http.client import HTTPConnection, HTTPException

import pytest
from serving_process import ServingProcess, serving_process
from sqlmodel import col, func, select
from stage import IRIS_ROW, WIDE, Stage, instances, wait_until

from gatehouse.db.tables import QuotaBlockTable, UsageEventTable

PROCESSES = 4
ONE_ROW_CALLERS = 10


class Callers:
    """Call until the quota refuses them; count what they were answered."""

    def __init__(self, key: str, servers: Sequence[ServingProcess]) -> None:
        self._headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        self._servers = servers
        self._lock = threading.Lock()
        self._pause = threading.Event()
        self.dead: set[int] = set()
        self.answered = 0

    def kill(self, number: int) -> None:
        """kill -9; calls that are under way are lost."""
        self.dead.add(number)
        self._servers[number].process.send_signal(signal.SIGKILL)

    def call_until_refused(self, seed: int, largest: int, stay: bool) -> None:
        """With `stay`, go on until no process but the last one is left."""
        chance = random.Random(seed)
        connections: dict[int, HTTPConnection] = {}
        while True:
            alone = len(self.dead) == PROCESSES - 1
            number = chance.choice([number for number in range(PROCESSES) if number not in self.dead])
            connection = connections.setdefault(number, HTTPConnection("127.0.0.1", self._servers[number].port, timeout=30))
            code = self._call(connection, chance.randint(1, largest))
            if code == "quota_exhausted":
                if alone or not stay:
                    break
                self._pause.wait(0.05)
        for connection in connections.values():
            connection.close()

    def _call(self, connection: HTTPConnection, rows: int) -> str:
        body = json.dumps(instances(*[IRIS_ROW] * rows))
        try:
            connection.request("POST", "/v1/models/iris/predict", body, self._headers)
            answer = connection.getresponse()
            document = json.loads(answer.read())
        except (OSError, HTTPException):
            connection.close()
            return "lost"
        if answer.status == 200:
            assert len(document["predictions"]) == rows
            with self._lock:
                self.answered += rows
            return "answered"
        code: str = document["code"]
        assert code in ("quota_exhausted", "overloaded", "quota_unavailable"), document
        return code


def check_quota(stage: Stage, rows: int, callers: int, largest: int) -> None:
    key = stage.tenant("many", "iris", plan=stage.plan(replace(WIDE, name="tight", rows_per_month=rows, quota_mode="hard")))
    with ExitStack() as running, ThreadPoolExecutor(callers) as threads:
        starting = [serving_process(stage, load_models="lazy", max_calls_at_once_per_tenant="256") for _ in range(PROCESSES)]
        servers = list(threads.map(running.enter_context, starting))
        calls = Callers(key, servers)
        first = [threads.submit(calls.call_until_refused, seed, largest, stay=True) for seed in range(callers)]
        for number, share in enumerate((0.2, 0.4, 0.6)):
            wait_until(lambda share=share: calls.answered >= rows * share or any(call.done() for call in first), 60)
            calls.kill(number)
        for call in first:
            call.result(60)
        assert metered(stage) <= rows
        wait_until(lambda: owners(stage) <= 1, 60)
        last = [threads.submit(calls.call_until_refused, seed, 1, stay=True) for seed in range(ONE_ROW_CALLERS)]
        for call in last:
            call.result(60)
        servers[-1].terminate()
    assert calls.answered <= metered(stage) <= rows
    assert metered(stage) >= rows * 0.99


def metered(stage: Stage) -> int:
    with stage.database.read() as session:
        return int(session.exec(select(func.coalesce(func.sum(UsageEventTable.rows), 0))).one())


def owners(stage: Stage) -> int:
    with stage.database.read() as session:
        return session.exec(select(func.count(func.distinct(col(QuotaBlockTable.process_id))))).one()


def test_a_hard_quota_is_never_passed_and_what_killed_processes_held_comes_back(stage_on_each_database: Stage) -> None:
    check_quota(stage_on_each_database, rows=3_000, callers=60, largest=150)


@pytest.mark.soak
@pytest.mark.parametrize("_round", range(3))
def test_ten_thousand_rows_for_two_hundred_callers(stage_on_each_database: Stage, _round: int) -> None:
    check_quota(stage_on_each_database, rows=10_000, callers=200, largest=500)
