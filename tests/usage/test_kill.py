"""kill -9: every event that was appended is in the database once."""

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from sqlmodel import select

from gatehouse.db.session import Database
from gatehouse.db.tables import UsageEventTable, UsageSummaryTable
from gatehouse.usage.recorder import Recorder
from gatehouse.usage.spool import Spool

APPENDER = Path(__file__).with_name("appender.py")


def run_and_kill(folder: Path, process_id: str, after: int) -> int:
    """Kill a process at some moment after it has said that it appended `after` events; returns how many it said in all."""
    with subprocess.Popen([sys.executable, str(APPENDER), str(folder), process_id], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = 0
        for line in process.stdout:
            said += line.endswith(b"\n")
            if said == after:
                process.kill()
    return said


def test_row_101_kill_9_loses_no_event_and_counts_none_twice(
    database: Database, spool_dir: Path, open_spool: Callable[..., Spool], record: Callable[..., Recorder], ended: list[str]
) -> None:
    chance = random.Random(7)
    said = {f"dead{number}": run_and_kill(spool_dir, f"dead{number}", chance.randrange(1, 400)) for number in range(5)}
    recorder = record(open_spool(), database, batch_bytes=10_000)
    assert recorder.adopt_orphans() == ended == sorted(said)
    with database.read() as session:
        stored = session.exec(select(UsageEventTable)).all()
        summaries = session.exec(select(UsageSummaryTable)).all()
    for process_id, appended in said.items():
        ids = {row.request_id for row in stored if row.process_id == process_id}
        in_order = [f"{process_id}-{number}" for number in range(len(ids))]
        assert ids == set(in_order)
        assert len(ids) in (appended, appended + 1)  # at most the one under way had not been said
        assert sum(row.process_id == process_id for row in stored) == len(ids)
    assert sum(row.rows for row in stored) == sum(row.rows for row in summaries)
    assert len(stored) == sum(row.calls for row in summaries)
