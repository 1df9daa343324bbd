"""kill -9 between claim, answer and drain: a call that is repeated afterwards is metered once, on SQLite and on PostgreSQL."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from estimators import RELEASE, SLOW_SIZE
from serving_process import serving_process
from sqlmodel import select, update
from stage import WIDE, Live, Stage, instances, problem, wait_until

from gatehouse.call import Call, Route
from gatehouse.db.session import Database
from gatehouse.db.tables import IdempotencyClaimTable, ProcessTable, QuotaBlockTable, QuotaTable, UsageEventTable, UsageSummaryTable
from gatehouse.limits.idempotency_key import Digester
from gatehouse.limits.idempotency_store import IdempotencyStore, Keyed, Standing
from gatehouse.limits.keyed_calls import KeyedCalls
from gatehouse.limits.quota import QuotaBook
from gatehouse.limits.store import QuotaStore
from gatehouse.principal import Plan, Principal, Scope
from gatehouse.usage.meter import Meter
from gatehouse.usage.recorder import Recorder
from gatehouse.usage.spool import Bounds, Spool

TEN = Plan("ten", WIDE.requests, WIDE.rows, 10, "hard", 10, 10_000)
PATHS = {"answered": "/v1/models/line/predict", "under-way": "/v1/models/slow/predict"}
BODIES = {"answered": instances({"size": 1.5}, {"size": 2.5}), "under-way": instances({"size": SLOW_SIZE})}


def send(base_url: str, key: str, name: str) -> httpx2.Response:
    headers = {"x-api-key": key, "idempotency-key": name}
    return httpx2.post(base_url + PATHS[name], json=BODIES[name], headers=headers, timeout=60)


def event_ids(database: Database) -> dict[str, str]:
    """By the model of the claim."""
    with database.read() as session:
        return {claim.endpoint.partition("/")[0]: claim.event_id for claim in session.exec(select(IdempotencyClaimTable))}


def seen(database: Database, ago: timedelta) -> None:
    """All processes were last seen so long ago."""
    with database.write() as session:
        session.execute(update(ProcessTable).values(last_seen_at=datetime.now(UTC) - ago))


def block_owners(database: Database) -> set[str]:
    """Processes that have taken rows of a quota ahead."""
    with database.read() as session:
        return set(session.exec(select(QuotaBlockTable.process_id)))


def kill_in_mid_call(stage: Stage, key: str) -> None:
    """One call is answered, and another one is under way."""
    with serving_process(stage) as server, ThreadPoolExecutor(1) as thread:
        assert send(server.base_url, key, "answered").status_code == 200
        calling = thread.submit(send, server.base_url, key, "under-way")
        wait_until(lambda: len(event_ids(stage.database)) == 2)
        server.process.kill()
        assert isinstance(calling.exception(), httpx2.TransportError)


def repeat(stage: Stage, live: Live, key: str) -> None:
    ids = event_ids(stage.database)
    wait_until(lambda: "idempotency-replayed" in send(live.base_url, key, "answered").headers)
    seen(stage.database, timedelta(0))
    problem(send(live.base_url, key, "under-way"), 409, "idempotency_in_progress")
    seen(stage.database, timedelta(seconds=20))
    assert "idempotency-replayed" not in send(live.base_url, key, "under-way").headers
    assert "idempotency-replayed" in send(live.base_url, key, "under-way").headers
    assert event_ids(stage.database) == ids
    wait_until(lambda: live.get("/account", key).json()["rows_left"] == 7)
    with stage.database.read() as session:
        events = session.exec(select(UsageEventTable).where(UsageEventTable.status == 200)).all()
    assert sorted((str(event.model), event.id, event.rows) for event in events) == [("line", ids["line"], 2), ("slow", ids["slow"], 1)]


def test_row_60_calls_whose_server_was_killed_are_metered_once_when_they_are_repeated(stage_on_each_database: Stage) -> None:
    stage = stage_on_each_database
    key = stage.tenant("acme", "line", "slow", plan=stage.plan(TEN))
    RELEASE.set()
    with stage.serving() as live:  # first: it need not wait then until the killed one does not count any more
        kill_in_mid_call(stage, key)
        repeat(stage, live, key)
        wait_until(lambda: block_owners(stage.database) == {live.app.process_id})  # the killed one's spool has been adopted
    with stage.database.read() as session:
        assert [row.taken for row in session.exec(select(QuotaTable))] == [3]


class Parts:
    """What a server needs to take, meter and claim a call; its spool is drained by hand."""

    def __init__(self, database: Database, folder: Path, id: str) -> None:
        calls = KeyedCalls()
        self.claims = IdempotencyStore(database, id, calls, timedelta(minutes=2))
        self.quota = QuotaBook(QuotaStore(database), id, lambda: 2, lambda: datetime.now(UTC))
        self.spool = Spool.open(folder, id, Bounds(min_free_bytes=0))
        self.meter = Meter(self.spool)
        self.recorder = Recorder(self.spool, database, self.quota.settle)

    def answer(self, event_id: str) -> Standing:
        """Two rows."""
        principal = Principal("t1", "acme", "k1", frozenset({Scope.PREDICTIONS_CREATE}), TEN)
        claim = self.claims.claim(Keyed(Digester(b"s").digests("t1", "line/v1", "a", [b"{}"]), "t1", "line/v1", "1.0.0", event_id))
        taken = self.quota.take("t1", TEN, 2)
        assert taken is not None
        call = Call("r", 0, principal=principal, route=Route("v1", "line"), rows=2, status=200, month=taken.month, event_id=claim.event_id)
        self.meter.record(call)
        return claim.standing


@pytest.mark.parametrize("first", ["its own", "the dead one's"])
def test_row_60_an_event_that_is_in_two_spools_is_counted_once_in_sums_and_quota(database: Database, tmp_path: Path, first: str) -> None:
    dead, alive = Parts(database, tmp_path, "dead"), Parts(database, tmp_path, "alive")
    assert dead.answer("01a" * 12) is Standing.FIRST
    dead.spool.release()  # what is left of a killed process: its file, and no lock
    assert alive.answer("01b" * 12) is Standing.RETAKEN
    steps: list[Callable[[], object]] = [alive.recorder.drain, alive.recorder.adopt_orphans]
    for step in steps if first == "its own" else reversed(steps):
        step()
    alive.quota.close()
    alive.recorder.close()
    with database.read() as session:
        assert [event.id for event in session.exec(select(UsageEventTable))] == ["01a" * 12]
        assert [(row.calls, row.rows) for row in session.exec(select(UsageSummaryTable))] == [(1, 2)]
        assert [row.taken for row in session.exec(select(QuotaTable))] == [2]
