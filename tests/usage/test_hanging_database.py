"""The answer to a commit that never came: whether it holds is unknown, and each event is there once all the same."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from own_postgresql import OwnPostgresql
from sqlalchemy import event
from sqlmodel import func, select

from gatehouse.db import watched_connection
from gatehouse.db.session import GONE, Database, open_database
from gatehouse.db.tables import UsageDayTable, UsageEventTable, UsageSummaryTable
from gatehouse.db.watched_connection import WatchedConnection
from gatehouse.usage.recorder import Recorder
from gatehouse.usage.spool import Spool

EVENTS = 1000
MOMENTS = {"copy": "SAVEPOINT", "summaries": "INSERT INTO usage_day", "commit": "INSERT INTO spool_segment"}
"""What is said right before the moment."""


@pytest.fixture
def database(own_postgresql: OwnPostgresql, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setattr(WatchedConnection, "silent_s", 0.2)
    monkeypatch.setattr(watched_connection, "PROBE_TIMEOUT_S", 1)
    opened = open_database(own_postgresql.new_database())
    yield opened
    opened.close()


def at(database: Database, moment: str, then: Callable[[], None]) -> None:
    """In the second batch, once."""
    seen = [0]

    def look(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        last = moment != "commit" or "DO UPDATE" in statement  # the first one of a batch claims the segment
        if statement.startswith(MOMENTS[moment]) and last:
            seen[0] += 1
            if seen[0] == 2:
                then()

    event.listen(database.engine, "after_cursor_execute", look)


@pytest.mark.parametrize(("way", "moment"), [("hang", "copy"), ("hang", "commit"), ("crash", "summaries"), ("crash", "commit")])
def test_row_101_an_outage_at_any_moment_of_a_batch_counts_each_event_once(
    database: Database,
    own_postgresql: OwnPostgresql,
    open_spool: Callable[..., Spool],
    record: Callable[..., Recorder],
    make_event: Any,
    way: str,
    moment: str,
) -> None:
    spool, events = open_spool(), [make_event() for _ in range(EVENTS)]
    for each in events:
        spool.append(each)
    recorder = record(spool, database, batch_bytes=spool.backlog_bytes // 3)
    at(database, moment, getattr(own_postgresql, way))
    with pytest.raises(GONE):
        recorder.drain()
    if way == "hang":
        own_postgresql.go_on()  # and does what it was told before, while the next round begins
    else:
        own_postgresql.start()
    recorder.drain()
    with database.read() as session:
        stored = session.exec(select(UsageEventTable)).all()
        calls = [session.exec(select(func.sum(table.calls))).one() for table in (UsageSummaryTable, UsageDayTable)]
    assert {row.id: row.model_dump() for row in stored} == {each.id: msgspec.structs.asdict(each) for each in events}
    assert (len(stored), calls) == (EVENTS, [EVENTS, EVENTS])
    assert spool.backlog_bytes == 0
