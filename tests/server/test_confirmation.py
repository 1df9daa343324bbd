"""Waiting until every process has taken a change in: nobody who serves is overlooked, and nobody is waited for in vain."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, insert, update
from stage import ACTOR

from gatehouse.db.revision import last_revision, record_change
from gatehouse.db.session import Database
from gatehouse.db.tables import ProcessTable
from gatehouse.identity.tenants import create_tenant, suspend_tenant
from gatehouse.server.confirmation import Confirmation, wait_for_all
from gatehouse.server.process import FRESH

STALE_S = 300.0


class Time:
    """A clock that moves when somebody waits; then something may happen."""

    def __init__(self) -> None:
        self.now = 0.0
        self.happens: dict[int, object] = {}
        self.waits = 0

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.waits += 1
        action = self.happens.get(self.waits)
        if callable(action):
            action()


def serve(database: Database, id: str, revision: int, seen: timedelta = timedelta()) -> None:
    at = datetime.now(UTC)
    with database.write() as session:
        row = {"id": id, "host": "web1", "pid": 7, "started_at": at - timedelta(hours=1), "last_seen_at": at - seen}
        session.execute(insert(ProcessTable).values(**row, revision_seen=revision))


def take_in(database: Database, id: str, revision: int) -> None:
    with database.write() as session:
        session.execute(update(ProcessTable).where(ProcessTable.id == id).values(revision_seen=revision))  # type: ignore[arg-type]


def change(database: Database) -> int:
    with database.write() as session:
        return record_change(session, "key", "3kTMd91QbLx07GzW")


def wait(database: Database, time: Time, deadline_s: float = 10.0) -> Confirmation:
    return wait_for_all(database, silent_s=STALE_S, deadline_s=deadline_s, monotonic=lambda: time.now, sleep=time.sleep)


@pytest.fixture
def time() -> Time:
    return Time()


def test_with_no_process_there_is_nothing_to_wait_for(database: Database, time: Time) -> None:
    revision = change(database)
    assert wait(database, time) == Confirmation(revision, (), (), ())
    assert time.waits == 0


def test_it_ends_when_the_last_one_has_confirmed_and_says_when_each_did(database: Database, time: Time) -> None:
    for id in ("prc_1", "prc_2", "prc_3"):
        serve(database, id, 0)
    revision = change(database)
    time.happens = {
        1: lambda: take_in(database, "prc_2", revision),
        5: lambda: take_in(database, "prc_1", revision - 1),
        10: lambda: take_in(database, "prc_3", revision + 1),
        15: lambda: take_in(database, "prc_1", revision),
    }
    found = wait(database, time)
    assert [(each.process.id, each.after_ms) for each in found.confirmed] == [("prc_2", 20), ("prc_3", 200), ("prc_1", 300)]
    assert (found.missing, found.silent, time.waits) == ((), (), 15)


def test_one_that_does_not_confirm_is_named_at_the_deadline(database: Database, time: Time) -> None:
    revision = change(database)
    serve(database, "prc_1", revision)
    serve(database, "prc_2", revision - 1)
    found = wait(database, time, 3.0)
    assert [each.process.id for each in found.confirmed] == ["prc_1"]
    assert [process.id for process in found.missing] == ["prc_2"]
    assert 3.0 <= time.now < 3.1


def test_one_that_ends_meanwhile_is_waited_for_no_longer(database: Database, time: Time) -> None:
    serve(database, "prc_1", 0)
    change(database)

    def end() -> None:
        with database.write() as session:
            session.execute(delete(ProcessTable))

    time.happens = {3: end}
    found = wait(database, time)
    assert [each.process.id for each in found.confirmed] == ["prc_1"]
    assert found.missing == ()


def test_a_stale_one_is_not_waited_for_but_named_as_long_as_it_may_go_on(database: Database, time: Time) -> None:
    revision = change(database)
    serve(database, "fresh", revision, FRESH - timedelta(seconds=2))
    serve(database, "silent", 0, FRESH + timedelta(seconds=2))
    serve(database, "over", 0, FRESH + timedelta(seconds=STALE_S + 2))
    found = wait(database, time)
    assert ([each.process.id for each in found.confirmed], found.missing) == (["fresh"], ())
    assert [process.id for process in found.silent] == ["silent"]


def test_it_waits_for_every_kind_of_change(database: Database, time: Time) -> None:
    create_tenant(database, ACTOR, "acme", lambda _session: {})
    with database.read() as session:
        serve(database, "prc_1", last_revision(session))
    suspend_tenant(database, ACTOR, "acme")
    assert [process.id for process in wait(database, time, 1.0).missing] == ["prc_1"]
