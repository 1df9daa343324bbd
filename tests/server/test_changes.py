"""The follower of changes: it outlives every failure, and an older database means that nothing remembered holds."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import delete, update
from sqlmodel import col
from stage import wait_until

from gatehouse.db.revision import EVERYTHING, Change, record_change
from gatehouse.db.session import Database
from gatehouse.db.tables import ChangeTable, RevisionTable
from gatehouse.server.changes import ChangeFollower

INTERVAL_S = 0.02


class Seen:
    """What a follower hands to an event loop that runs in a thread."""

    def __init__(self, database: Database) -> None:
        self.changes: list[Change] = []
        self.revision = 0
        self.polls = 0
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.follower = ChangeFollower(database, INTERVAL_S)
        self.follower.start(self.loop, self.take)

    def take(self, found: list[Change], revision: int) -> None:
        self.polls += 1
        self.changes += found
        self.revision = revision

    def stop(self) -> None:
        self.follower.stop()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture
def seen(database: Database) -> Iterator[Seen]:
    following = Seen(database)
    yield following
    following.stop()


def _change(database: Database, id: str) -> None:
    with database.write() as session:
        record_change(session, "key", id)


def test_each_change_is_handed_over_once_and_in_order(database: Database, seen: Seen) -> None:
    for id in ("a", "b", "c"):
        _change(database, id)
    wait_until(lambda: [change.id for change in seen.changes] == ["a", "b", "c"])
    polls = seen.polls
    wait_until(lambda: seen.polls > polls + 2)
    assert [change.id for change in seen.changes] == ["a", "b", "c"]
    assert seen.revision == seen.changes[-1].revision


def test_the_follower_outlives_an_error_that_nobody_thought_of(database: Database, seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = threading.Event()

    def fail() -> int:
        failed.set()
        raise ValueError("unheard of")

    with monkeypatch.context() as broken:
        broken.setattr(database.revision_watch, "read", fail)
        assert failed.wait(10)
        polls = seen.polls
        failed.clear()
        assert failed.wait(10)
        assert seen.polls == polls  # what was not read is not confirmed
    _change(database, "after")
    wait_until(lambda: [change.id for change in seen.changes] == ["after"])


def test_a_database_put_back_to_an_older_state_makes_everything_new(database: Database, seen: Seen) -> None:
    for id in ("a", "b", "c"):
        _change(database, id)
    wait_until(lambda: len(seen.changes) == 3)
    with database.write() as session:
        session.execute(update(RevisionTable).values(value=1))
        session.execute(delete(ChangeTable).where(col(ChangeTable.revision) > 1))
    wait_until(lambda: seen.changes[-1:] == [EVERYTHING])
    assert seen.revision == 1
    _change(database, "d")
    wait_until(lambda: seen.changes[-1].id == "d")
    assert seen.changes.count(EVERYTHING) == 1
