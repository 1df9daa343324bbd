"""`gatehouse status`: what it shows comes from the rows of all machines, and its exit code says whether anything is wrong."""

import socket
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from audit_keys import AUDIT_KEYS
from sqlalchemy import event, insert, update

from gatehouse.db.audit import Actor
from gatehouse.db.revision import last_revision
from gatehouse.db.session import Database, open_database
from gatehouse.db.tables import ChangeTable, RevisionTable
from gatehouse.metrics.recent_store import RecentCalls
from gatehouse.migration.store import create_endpoint
from gatehouse.server.process import FRESH
from gatehouse.server.standing import Standing, standing_text
from gatehouse.server.store import Process, write_process

HOST = socket.gethostname()


@pytest.fixture
def database(state_dir: Path) -> Iterator[Database]:
    """Of a deployment with one endpoint."""
    opened = open_database(f"sqlite:///{state_dir / 'gatehouse.db'}", AUDIT_KEYS)
    with opened.write() as session:
        create_endpoint(session, Actor("os-user:test", "cli"), "iris", "1.2.0")
    yield opened
    opened.close()


def serve(database: Database, id: str = "prc_1", host: str = HOST, unseen: timedelta = timedelta(), **wish: Any) -> None:
    """A row as its process writes it."""
    with database.write() as session:
        seen = wish.pop("revision_seen", last_revision(session))
        said = wish.pop("text") if "text" in wish else standing_text(Standing(**wish))
        now = datetime.now(UTC) - unseen
        write_process(session, Process(id, host, 77, now, now, seen, said))


def change(database: Database, at: datetime) -> None:
    with database.write() as session:
        revision = last_revision(session) + 1
        session.execute(update(RevisionTable).values(value=revision))
        session.execute(insert(ChangeTable).values(revision=revision, kind="key", id="k", at=at))


def answer(database: Database, id: str, totals: dict[tuple[str, str, int, str], tuple[int, int]]) -> None:
    with database.write() as session:
        RecentCalls(id, lambda: totals).write(session, datetime.now(UTC))


def wrong(gatehouse: Any) -> list[str]:
    """What is said to be wrong; the exit code must agree with it."""
    said: list[str] = gatehouse("status", "--json", code=1).json["wrong"]
    return said


def test_all_machines_their_versions_calls_and_codes_are_shown(gatehouse: Any, database: Database) -> None:
    serve(database, usage_backlog_bytes=3 * 2**20)
    serve(database, "prc_2", "elsewhere", usage_backlog_bytes=2**20, draining=True, usage_lost=4)
    answer(database, "prc_1", {("iris", "v1", 200, ""): (7, 70), ("iris", "v1", 422, "invalid_input"): (2, 0)})
    answer(
        database,
        "prc_2",
        {("iris", "v1", 200, ""): (1, 1), ("", "", 429, "rate_limited"): (5, 0), ("", "", 401, "credential_invalid"): (3, 0)},
    )

    found = gatehouse("status", "--json").json

    assert (found["healthy"], found["wrong"]) == (True, [])
    assert [(each["id"], each["host"], each["state"], each["usage_lost"]) for each in found["processes"]] == [
        ("prc_1", HOST, "serving", 0),
        ("prc_2", "elsewhere", "draining", 4),
    ]
    (endpoint,) = found["endpoints"]
    assert (endpoint["endpoint"], endpoint["state"], endpoint["version"]) == ("iris/v1", "active", "1.2.0")
    assert [endpoint[name] for name in ("calls", "rows", "answered", "refused", "failed")] == [10, 71, 8, 2, 0]
    assert found["usage"] == {"backlog_bytes": 4 * 2**20, "ended_spools_here": []}
    outcomes = {(each["model"], each["status"], each["code"]): each["calls"] for each in found["calls"]["outcomes"]}
    assert outcomes == {
        ("iris", 200, None): 8,
        ("iris", 422, "invalid_input"): 2,
        (None, 429, "rate_limited"): 5,
        (None, 401, "credential_invalid"): 3,
    }
    shown = gatehouse("status").lines
    assert any({"iris/v1", "active", "1.2.0", "10", "71", "8", "2"} <= set(line.split()) for line in shown)
    assert any(line.split() == ["429", "rate_limited", "5"] for line in shown)
    assert shown[-1] == f"2 processes serve; 18 calls in 5 minutes; revision {found['revision']}"


def test_where_nobody_serves_it_says_how_to_start(gatehouse: Any, database: Database) -> None:
    assert wrong(gatehouse) == ["nobody serves: gatehouse serve"]
    assert gatehouse("status", code=1).lines[-1] == "wrong: nobody serves: gatehouse serve"


def test_without_a_database_it_says_so_in_one_line_and_makes_none(gatehouse: Any, state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sqlite3.connect(state_dir / "gatehouse.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    connection.close()
    assert "start a server of this version" in gatehouse("status", code=1).error
    with sqlite3.connect(state_dir / "gatehouse.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    assert "install the newer Gatehouse that has brought it to 9999" in gatehouse("status", code=1).error
    (state_dir / "gatehouse.db").unlink()
    said = gatehouse("status", code=1).error
    assert ("there is no database at" in said, "gatehouse serve" in said, said.count("\n")) == (True, True, 1)
    assert not (state_dir / "gatehouse.db").exists()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("GATEHOUSE_DATABASE_URL", f"postgresql://nobody:hidden@127.0.0.1:{port}/none")
    said = gatehouse("status", code=1).error
    assert "the database does not answer" in said
    assert "hidden" not in said


def test_a_process_that_is_behind_for_longer_than_changes_take_is_wrong(gatehouse: Any, database: Database) -> None:
    serve(database)
    change(database, datetime.now(UTC))
    (process,) = gatehouse("status", "--json").json["processes"]
    assert (process["changes_behind"], process["seconds_behind"] < 5) == (1, True)
    serve(database)
    change(database, datetime.now(UTC) - timedelta(seconds=30))
    change(database, datetime.now(UTC))
    (said,) = wrong(gatehouse)
    assert said.startswith(f"process prc_1 on {HOST} is 2 changes and 30 s behind")


def test_a_process_that_went_without_a_word_is_wrong_for_five_minutes(gatehouse: Any, database: Database) -> None:
    serve(database)
    serve(database, "prc_2", unseen=FRESH + timedelta(seconds=5))
    (said,) = wrong(gatehouse)
    assert said.startswith(f"process prc_2 on {HOST} has not been seen for 20 s")
    serve(database, "prc_2", unseen=timedelta(minutes=6))
    assert [each["state"] for each in gatehouse("status", "--json").json["processes"]] == ["gone", "serving"]


def test_what_processes_say_of_themselves_is_told(gatehouse: Any, database: Database) -> None:
    serve(database, no_room="disk_low", not_served={"iris/v1": "tampered"})
    said = wrong(gatehouse)
    assert len(said) == 2
    assert "503 (disk_low): gatehouse doctor" in said[0]
    assert "iris/v1 was released to (tampered)" in said[1]


@pytest.mark.parametrize("text", [None, "", "{", '{"of_a_later_version": 1}', '{"usage_backlog_bytes": "many"}'])
def test_a_process_of_another_version_that_says_other_things_is_shown_all_the_same(
    gatehouse: Any, database: Database, text: str | None
) -> None:
    serve(database, text=text)
    (process,) = gatehouse("status", "--json").json["processes"]
    assert (process["state"], process["usage_backlog_bytes"]) == ("serving", 0)


def test_spools_of_ended_processes_are_wrong_where_nobody_is_there_to_take_them(
    gatehouse: Any, database: Database, state_dir: Path
) -> None:
    (state_dir / "spool").mkdir()
    for id in ("prc_1", "prc_0"):
        (state_dir / "spool" / f"{id}.000001.ndjson").write_bytes(b"{}\n")
    serve(database, host="elsewhere")
    assert wrong(gatehouse) == ["usage of 1 ended processes waits in this machine's spool folder: start a server here"]
    serve(database, "prc_2")
    assert gatehouse("status", "--json").json["usage"]["ended_spools_here"] == ["prc_0"]


def test_a_deployment_without_endpoints_is_told_how_to_publish(gatehouse: Any, state_dir: Path) -> None:
    empty = open_database(f"sqlite:///{state_dir / 'gatehouse.db'}", AUDIT_KEYS)
    serve(empty)
    empty.close()
    (said,) = wrong(gatehouse)
    assert "gatehouse models publish" in said


def test_no_table_is_read_that_grows_with_the_calls(gatehouse: Any, database: Database) -> None:
    from sqlalchemy import Engine

    read: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        read.append(statement)

    serve(database)
    event.listen(Engine, "before_cursor_execute", note)
    try:
        gatehouse("status", "--json")
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert any("recent_calls" in statement for statement in read)
    assert not any(table in statement for statement in read for table in ("usage_event", "usage_summary", "usage_day", "refused_calls"))
