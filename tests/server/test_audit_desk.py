"""The audit trail's head gets into the log, and refused admin calls into the trail, whatever happens to the database meanwhile."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from audit_keys import AUDIT_KEYS
from msgspec import structs
from sqlalchemy import text
from stage import wait_until

from gatehouse.call import Call
from gatehouse.db.audit import Actor, record_audit
from gatehouse.db.audit_chain import read_head
from gatehouse.db.audit_trail import AuditFilter, detail_of, newest_entries
from gatehouse.db.audit_verify import verify_trail
from gatehouse.db.session import Database, open_database
from gatehouse.principal import OPERATOR_TENANT, Plan, Principal, Rate
from gatehouse.server.audit_desk import AuditDesk
from gatehouse.server.refusal_book import (
    FIRST_OF_CALLER,
    FIRST_OF_NETWORK,
    FIRST_OF_NOBODY,
    FIRST_OF_SERIOUS,
    MOST_PATHS,
    MOST_WAITING,
    WINDOW_S,
    RefusalBook,
)

PLAN = Plan("p", Rate(1, 1, 1), Rate(1, 1, 1), 1, "hard", 1, 1024)
KNOWN = Principal("ten_1", OPERATOR_TENANT, "key1", frozenset(), PLAN)
SUBJECT = "GET /admin/tenants"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(database: Database, clock: Clock) -> RefusalBook:
    return RefusalBook(database, clock)


@pytest.fixture
def desk(database: Database, book: RefusalBook) -> Iterator[AuditDesk]:
    made = AuditDesk(database, book, interval_s=0.05)
    made.start()
    yield made
    made.close()


def refused(address: str = "192.0.2.1", principal: Principal | None = None, code: str = "credential_missing") -> Call:
    return Call("req_12345678", 0, address=address, method="GET", path="/admin/tenants", principal=principal, code=code)


def rows(database: Database) -> list[Any]:
    with database.read() as session:
        return newest_entries(session, AuditFilter(action="admin"), 1000)[::-1]


def told() -> None:
    """Nobody waits."""


def heads(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "gatehouse.audit"]


def test_row_99_the_head_is_logged_whenever_it_has_moved_and_at_the_end(
    database: Database, book: RefusalBook, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gatehouse.audit")
    desk = AuditDesk(database, book)  # as fast as in a server
    desk.start()
    elsewhere = Database(database.engine, AUDIT_KEYS)  # such as a command
    for number in (1, 2):
        with elsewhere.write() as session:
            record_audit(session, Actor("os-user:alice", "cli"), "tenant.create", f"t{number}")
        with database.read() as session:
            line = f"audit head {read_head(session)}"
        assert wait_until(lambda line=line: line in heads(caplog)) < 1.0  # type: ignore[misc]
    desk.close()
    assert heads(caplog)[-1] == f"{line} at the end"
    assert len(heads(caplog)) == 3


def test_row_99_a_trail_that_got_shorter_is_an_error_in_the_log(
    database: Database, desk: AuditDesk, caplog: pytest.LogCaptureFixture
) -> None:
    with database.write() as session:
        record_audit(session, Actor("os-user:alice", "cli"), "tenant.create", "t")
    wait_until(lambda: desk.head is not None and desk.head.sequence == 1)
    seen = desk.head
    with database.write() as session:
        session.execute(text(f"UPDATE audit_head SET sequence = 0, mac = '{'0' * 64}'"))
    wait_until(lambda: any(f"shorter than before: its head was {seen}" in line for line in heads(caplog)))


def test_a_refusal_of_a_caller_who_proved_who_it_is_is_written_and_told(database: Database, book: RefusalBook, desk: AuditDesk) -> None:
    done: list[bool] = []
    call = structs.replace(refused(principal=KNOWN, code="scope_missing"), reason="by_rule")
    assert book.note(call, SUBJECT, 403, lambda: done.append(True))
    wait_until(lambda: bool(done))
    [row] = rows(database)
    assert (row.actor, row.source, row.request_id, row.action, row.subject) == (
        "key:key1",
        "192.0.2.1",
        "req_12345678",
        "admin.refused",
        SUBJECT,
    )
    assert detail_of(row) == {"status": 403, "code": "scope_missing", "reason": "by_rule"}


def test_a_flood_of_nobody_is_a_few_rows_and_one_that_counts_the_rest(database: Database, book: RefusalBook, clock: Clock) -> None:
    for _ in range(1000):
        assert not book.note(refused(), SUBJECT, 401, told)
    for number in range(1000):
        book.note(refused(f"2001:db8:{number:x}::1"), SUBJECT, 401, told)
    book.write_waiting()
    alone = rows(database)
    assert len(alone) == FIRST_OF_NOBODY
    assert sum(row.source == "192.0.2.1" for row in alone) == FIRST_OF_NETWORK
    clock.now += WINDOW_S
    book.write_waiting()
    [counted] = rows(database)[FIRST_OF_NOBODY:]
    assert (counted.actor, counted.source, counted.subject) == ("nobody", "several", "further calls under /admin")
    assert detail_of(counted)["calls"] == 2000 - FIRST_OF_NOBODY
    assert detail_of(counted)["codes"] == {"credential_missing": 2000 - FIRST_OF_NOBODY}
    book.note(refused(), SUBJECT, 401, told)  # a new minute, a new row
    book.write_waiting()
    assert len(rows(database)) == FIRST_OF_NOBODY + 2


def test_a_flood_of_a_known_caller_is_counted_too_and_hides_nobody_else(database: Database, book: RefusalBook) -> None:
    for number in range(FIRST_OF_CALLER + 7):
        book.note(refused(principal=KNOWN, code="not_found"), f"GET /admin/{number}", 404, told)
    book.note(refused(principal=replace(KNOWN, key_id="key2")), SUBJECT, 404, told)
    book.close()
    found = rows(database)
    assert [row.actor for row in found] == ["key:key1"] * FIRST_OF_CALLER + ["key:key2", "key:key1"]
    detail = detail_of(found[-1])
    assert (detail["calls"], detail["codes"]) == (7, {"not_found": 7})
    assert detail["first"] == {"not_found": [f"GET /admin/{FIRST_OF_CALLER + number}" for number in range(MOST_PATHS)]}


@pytest.mark.parametrize(
    ("method", "status"), [("GET", 401), ("GET", 403), ("PATCH", 409), ("PATCH", 412), ("GET", 503), ("POST", 404), ("DELETE", 422)]
)
def test_junk_of_a_known_caller_does_not_hide_what_it_probes_next(database: Database, book: RefusalBook, method: str, status: int) -> None:
    for _ in range(3 * FIRST_OF_CALLER):
        book.note(refused(principal=KNOWN, code="not_found"), "GET /admin/x", 404, told)
        book.note(refused(principal=KNOWN, code="invalid_input"), "GET /admin/keys", 422, told)
        book.note(refused(principal=KNOWN, code="rate_limited"), "POST /admin/keys", 429, told)
    for number in range(FIRST_OF_SERIOUS + 2):
        book.note(structs.replace(refused(principal=KNOWN, code="probed"), method=method), f"{method} /admin/{number}", status, told)
    book.close()
    *alone, counted = rows(database)
    assert [row.subject for row in alone[FIRST_OF_CALLER:]] == [f"{method} /admin/{number}" for number in range(FIRST_OF_SERIOUS)]
    assert detail_of(counted)["first"]["probed"] == [f"{method} /admin/{FIRST_OF_SERIOUS + number}" for number in range(2)]


def test_refusals_wait_while_the_database_is_away_and_are_bounded(
    database_url: str, tmp_path: Any, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    away = open_database(f"sqlite:///{tmp_path / 'nowhere' / 'x.db'}", AUDIT_KEYS)
    book = RefusalBook(away, clock)
    for number in range(MOST_WAITING + 50):
        book.note(refused(principal=replace(KNOWN, key_id=f"key{number}")), SUBJECT, 403, told)
    for _ in range(3):
        book.write_waiting()
    assert sum("cannot be written into the audit trail yet" in line for line in heads(caplog)) == 1
    back = open_database(database_url, AUDIT_KEYS)
    book._database = back
    book.write_waiting()
    assert len(rows(back)) == MOST_WAITING
    book.close()
    with back.read() as session:
        verdict = verify_trail(session, AUDIT_KEYS)
    assert (verdict.findings, verdict.rows) == ([], MOST_WAITING + 50)  # the others are counted, each by its name
    for each in (away, back):
        each.close()
