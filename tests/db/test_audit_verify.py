"""SECURITY.md, row 99: whatever is done to the audit trail behind the service's back is found and named."""

import json
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from audit_keys import AUDIT_KEYS
from sqlalchemy import URL, create_engine, text

from gatehouse.db.audit import Actor, record_audit
from gatehouse.db.audit_chain import FIRST_MAC, AuditHeadChanged, AuditKeyWrong, AuditTrailUnfit, Head, check_trail, read_head
from gatehouse.db.audit_keys import AuditKeys
from gatehouse.db.audit_trail import TRAIL
from gatehouse.db.audit_verify import MOST_SHOWN, Verdict, verify_trail
from gatehouse.db.session import Database, open_database

ALICE = Actor("os-user:alice", "cli", "req_alice_1234")
ROWS = 8
NEWER = AuditKeys({2: b"another key of the audit trail, 32"} | {1: b"Tn6bVx2cMz9qWe4rYu7iOp1aSd5fGh8J"})


def write(database: Database, first: int, last: int) -> None:
    for number in range(first, last + 1):
        with database.write() as session:
            record_audit(session, ALICE, "tenant.edit", f"tenant-{number}", before={"plan": "a"}, after={"plan": f"b{number}"})


def verdict_of(database: Database, *seen: Head, keys: AuditKeys = AUDIT_KEYS) -> Verdict:
    with database.read() as session:
        return verify_trail(session, keys, seen)


def head_of(database: Database) -> Head:
    with database.read() as session:
        return read_head(session)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A database without the triggers and the index: whoever owns it can take them away."""
    if request.param == "sqlite":
        file = shutil.copyfile(request.getfixturevalue("sqlite_template"), tmp_path_factory.mktemp("audit") / "gatehouse.db")
        opened = open_database(f"sqlite:///{file}", AUDIT_KEYS)
    else:
        template: URL = request.getfixturevalue("postgresql_template")
        server = create_engine(template.set(drivername="postgresql+psycopg", database="postgres"), isolation_level="AUTOCOMMIT")
        name = f"audit_{secrets.token_hex(6)}"
        with server.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template.database} STRATEGY FILE_COPY"))
        server.dispose()
        opened = open_database(template.set(database=name).render_as_string(hide_password=False), AUDIT_KEYS)
    without_guards(opened)
    yield opened
    opened.close()


@pytest.fixture
def database(opened: Database) -> Database:
    """The same without a row."""
    tamper(opened, "DELETE FROM audit", f"UPDATE audit_head SET sequence = 0, mac = '{FIRST_MAC}'")
    if opened.dialect == "postgresql":
        tamper(opened, "SELECT setval('audit_id_seq', 1, false)")
    return opened


@pytest.fixture
def trail(database: Database) -> Database:
    """Some rows that verify."""
    write(database, 1, ROWS)
    assert verdict_of(database).findings == []
    return database


def without_guards(database: Database) -> None:
    on = " ON audit" if database.dialect == "postgresql" else ""
    triggers = ("audit_no_change",) if on else ("audit_no_update", "audit_no_delete")
    with database.write() as session:
        for name in triggers:
            session.execute(text(f"DROP TRIGGER {name}{on}"))
        session.execute(text("DROP INDEX ix_audit_sequence"))


def tamper(database: Database, *statements: str) -> None:
    with database.write() as session:
        for statement in statements:
            session.execute(text(statement))


def put_back(database: Database) -> Callable[[], None]:
    """What undoes everything that was done to the rows and the head since."""
    with database.read() as session:
        rows = [dict(row._mapping) for row in session.execute(TRAIL.select())]
        head = read_head(session)

    def undo() -> None:
        with database.write() as session:
            session.execute(TRAIL.delete())
            session.execute(TRAIL.insert(), rows)
            session.execute(text(f"UPDATE audit_head SET sequence = {head.sequence}, mac = '{head.mac}'"))

    return undo


CHANGES = {
    "actor": "'os-user:mallory'",
    "source": "'192.0.2.1'",
    "request_id": "NULL",
    "action": "'tenant.show'",
    "subject": "'tenant-0'",
    "detail": "'{}'",
    "at": "'2020-01-01 00:00:00.000000'",
    "id": "id + 1000",
    "mac": "'" + "0" * 64 + "'",
    "key_version": "7",
    "sequence": "sequence + 1000",
}


@pytest.mark.parametrize("column", CHANGES)
def test_row_99_an_update_of_any_column_of_any_row_is_found_and_the_row_named(trail: Database, column: str) -> None:
    undo = put_back(trail)
    for place in range(1, ROWS + 1):
        tamper(trail, f"UPDATE audit SET {column} = {CHANGES[column]} WHERE sequence = {place}")
        found = verdict_of(trail).findings
        assert found, place
        assert found[0].sequence == place, found
        assert found[0].kind in {"key_version": {"key"}, "sequence": {"removed"}}.get(column, {"changed"}), found
        undo()
    assert verdict_of(trail).findings == []


def test_row_99_a_delete_of_any_row_is_found_and_the_row_named(trail: Database) -> None:
    undo = put_back(trail)
    for place in range(1, ROWS + 1):
        tamper(trail, f"DELETE FROM audit WHERE sequence = {place}")
        [found] = verdict_of(trail).findings
        assert (found.kind, found.sequence) == ("removed", place)
        assert f"row {place}" in found.text
        undo()


COPY = "INSERT INTO audit (id, sequence, at, actor, source, request_id, action, subject, detail, key_version, mac) SELECT {} FROM audit"


def test_row_99_an_insert_at_any_place_is_found_and_the_row_named(trail: Database) -> None:
    undo = put_back(trail)
    for place in range(1, ROWS + 2):  # the last one behind the newest
        made = f"900, {place}, at, 'os-user:mallory', source, request_id, action, subject, detail, key_version, mac"
        tamper(trail, COPY.format(made) + f" WHERE sequence = {min(place, ROWS)}")
        found = verdict_of(trail).findings
        assert (found[0].kind, found[0].id) == ("inserted", 900), place
        undo()


def test_row_99_an_insert_outside_of_the_chain_is_found_and_the_row_named(trail: Database) -> None:
    tamper(trail, COPY.format("900, NULL, at, actor, source, NULL, action, subject, detail, NULL, NULL") + " WHERE sequence = 3")
    [found] = verdict_of(trail).findings
    assert (found.kind, found.id) == ("inserted", 900)
    assert "outside of the chain" in found.text


PAIRS = [(1, 2), (2, 3), (1, ROWS), (3, 6), (ROWS - 1, ROWS)]
CONTENT = ("at", "actor", "source", "request_id", "action", "subject", "detail")


def swapped(database: Database, first: int, second: int, columns: tuple[str, ...]) -> None:
    with database.write() as session:
        both = {row.sequence: row for row in session.execute(TRAIL.select().where(TRAIL.c.sequence.in_((first, second))))}
        for to, source in ((first, second), (second, first)):
            values = {name: getattr(both[source], name) for name in columns}
            session.execute(TRAIL.update().where(TRAIL.c.id == both[to].id).values(values))


@pytest.mark.parametrize("columns", [("sequence",), CONTENT, (*CONTENT, "mac")], ids=["places", "words", "words and seals"])
def test_row_99_a_swap_is_found_and_both_rows_are_named(trail: Database, columns: tuple[str, ...]) -> None:
    undo = put_back(trail)
    for first, second in PAIRS:
        swapped(trail, first, second, columns)
        found = verdict_of(trail).findings[0]
        assert (found.kind, found.sequence) == ("moved", first), (first, second, found)
        assert f"was written as row {second}" in found.text
        undo()


def test_row_99_newest_rows_that_were_removed_with_the_head_are_found_by_a_head_that_was_logged(trail: Database) -> None:
    undo = put_back(trail)
    logged = head_of(trail)
    for left in range(ROWS):
        with trail.read() as session:
            mac = session.execute(text(f"SELECT mac FROM audit WHERE sequence = {left}")).scalar() or "0" * 64
        tamper(trail, f"DELETE FROM audit WHERE sequence > {left}", f"UPDATE audit_head SET sequence = {left}, mac = '{mac}'")
        assert verdict_of(trail).findings == []  # nothing in the database can tell
        [found] = verdict_of(trail, logged).findings
        assert (found.kind, found.sequence) == ("removed", left + 1)
        write(trail, left + 1, ROWS)  # and it does not help to go on from there
        [found] = verdict_of(trail, logged).findings
        assert (found.kind, found.sequence, found.text) == ("changed", ROWS, f"row {ROWS} is not the one whose head was logged")
        undo()
    assert verdict_of(trail, logged).findings == []


@pytest.mark.parametrize("change", ["sequence = sequence - 1", "sequence = sequence + 1", f"mac = '{'0' * 64}'"])
def test_row_99_a_changed_head_is_found(trail: Database, change: str) -> None:
    tamper(trail, f"UPDATE audit_head SET {change}")
    [found] = verdict_of(trail).findings
    assert "head" in found.text


def test_row_99_a_head_that_was_removed_is_found(trail: Database) -> None:
    tamper(trail, "DELETE FROM audit_head")
    try:
        [found] = verdict_of(trail).findings
        assert (found.kind, found.sequence) == ("head", ROWS)
        with pytest.raises(AuditHeadChanged):  # nothing is audited behind it, so nothing is changed
            write(trail, 1, 1)
    finally:
        tamper(trail, f"INSERT INTO audit_head (id, sequence, mac) VALUES (1, 0, '{FIRST_MAC}')")


@pytest.mark.parametrize("change", ["sequence = sequence - 1", "sequence = sequence + 1", "sequence = 0", f"mac = '{'0' * 64}'"])
def test_row_99_nothing_is_changed_behind_a_changed_head(trail: Database, change: str) -> None:
    tamper(trail, f"UPDATE audit_head SET {change}")
    with pytest.raises(
        AuditHeadChanged, match=r"^the head of the audit trail is missing or was changed: gatehouse audit verify says what$"
    ):
        write(trail, 1, 1)
    with trail.read() as session, pytest.raises(AuditHeadChanged):
        check_trail(session, AUDIT_KEYS)
    assert verdict_of(trail).rows == ROWS


def test_row_99_a_head_that_is_missing_before_the_first_row_is_named(database: Database) -> None:
    tamper(database, "DELETE FROM audit_head")
    try:
        [found] = verdict_of(database).findings
        assert (found.kind, found.text) == ("head", "the head of the audit trail is missing")
    finally:
        tamper(database, f"INSERT INTO audit_head (id, sequence, mac) VALUES (1, 0, '{FIRST_MAC}')")


def test_an_old_row_whose_moment_is_none_is_sealed_as_it_is(database: Database) -> None:
    if database.dialect == "sqlite":  # PostgreSQL takes moments only
        columns = "id, at, actor, source, action, subject, detail"
        tamper(database, f"INSERT INTO audit ({columns}) VALUES (1, 'garbage', 'a', 'cli', 'tenant.edit', 't', '{{}}')")
        write(database, 1, 1)
        assert (verdict_of(database).findings, verdict_of(database).old_rows) == ([], 1)


def fresh(database: Database, keys: AuditKeys) -> Database:
    """The same one, as another process opens it."""
    return Database(database.engine, keys)


def test_another_key_under_the_same_version_chains_nothing(trail: Database) -> None:
    wrong = AuditKeys({1: b"not the key of this deployment, 32"})
    with pytest.raises(AuditKeyWrong, match=rf"^GATEHOUSE_AUDIT_KEY \(version 1\) is not the key that row {ROWS}, the newest"):
        write(fresh(trail, wrong), 1, 1)
    with trail.read() as session, pytest.raises(AuditTrailUnfit):
        check_trail(session, wrong)
    assert verdict_of(trail).rows == ROWS
    write(fresh(trail, AUDIT_KEYS), 1, 1)
    assert verdict_of(trail).findings == []


def test_another_key_than_the_one_before_is_named_by_its_setting(trail: Database) -> None:
    wrong = AuditKeys({2: b"the next key of this deployment, 32", 1: b"not the key of this deployment, 32"})
    with pytest.raises(AuditKeyWrong, match=r"^GATEHOUSE_OTHER_AUDIT_KEYS \(version 1\)"):
        write(fresh(trail, wrong), 1, 1)


def test_a_version_that_is_not_known_stops_no_change(trail: Database) -> None:
    write(fresh(trail, AuditKeys({2: b"another key of the audit trail, 32"})), 1, 1)
    assert verdict_of(trail, keys=NEWER).findings == []


def test_a_process_proves_each_version_once(trail: Database) -> None:
    """A word changed later is for a verification to find, which looks at all rows."""
    process = fresh(trail, AUDIT_KEYS)
    write(process, 1, 1)
    tamper(trail, f"UPDATE audit SET subject = 'x' WHERE sequence = {ROWS + 1}")
    write(process, 2, 2)
    tamper(trail, f"UPDATE audit SET subject = 'x' WHERE sequence = {ROWS + 2}")
    with pytest.raises(AuditKeyWrong, match="or that row was changed"):
        write(fresh(trail, AUDIT_KEYS), 3, 3)


def test_words_and_seal_changed_together_name_that_row_alone(trail: Database) -> None:
    tamper(trail, f"UPDATE audit SET actor = 'x', mac = '{'1' * 64}' WHERE sequence = 4")
    found = verdict_of(trail).findings
    assert [(each.kind, each.sequence) for each in found][:1] == [("changed", 4)]
    assert {each.sequence for each in found} <= {4, 5}


def test_many_findings_are_counted_and_the_first_are_named(database: Database) -> None:
    write(database, 1, MOST_SHOWN + 5)
    tamper(database, "UPDATE audit SET actor = 'x'")
    verdict = verdict_of(database)
    assert (len(verdict.findings), verdict.findings[0].sequence, verdict.further) == (MOST_SHOWN, 1, 5)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("at", "'yesterday'"),
        ("detail", "x'00ff'"),
        ("detail", "CAST(x'ff' AS TEXT)"),
        ("sequence", "'third'"),
        ("sequence", "2.5"),
        ("mac", "NULL"),
    ],
)
def test_what_only_sqlite_lets_in_is_found_and_stops_nothing(sqlite_database: Database, column: str, value: str) -> None:
    write(sqlite_database, 1, 4)
    without_guards(sqlite_database)
    tamper(sqlite_database, f"UPDATE audit SET {column} = {value} WHERE sequence = 3")
    assert 3 in {each.sequence for each in verdict_of(sqlite_database).findings}
    with sqlite_database.read() as session:
        assert session.execute(text("SELECT actor FROM audit WHERE id = 1")).scalar_one() == "os-user:alice"


def test_a_new_key_takes_over_in_the_middle_and_the_one_before_is_still_needed(database: Database) -> None:
    older, newer = database, Database(database.engine, NEWER)
    write(older, 1, 3)
    write(newer, 4, 5)
    write(older, 6, 6)  # a server that has not been restarted yet
    write(newer, 7, 7)

    assert verdict_of(newer, keys=NEWER).findings == []
    found = verdict_of(older, keys=AUDIT_KEYS).findings
    assert [(each.kind, each.sequence) for each in found] == [("key", 4), ("key", 5), ("key", 7)]
    assert "version 2" in found[0].text
    assert "GATEHOUSE_OTHER_AUDIT_KEYS" in found[0].text
    wrong = AuditKeys({2: b"a key that nobody ever used, 32 c"} | {1: b"Tn6bVx2cMz9qWe4rYu7iOp1aSd5fGh8J"})
    assert verdict_of(newer, keys=wrong).findings[0].sequence == 4


# --------------------------------------------------------------- rows from before the chain

OLD = (
    "INSERT INTO audit (id, at, actor, source, action, subject, detail) "
    "VALUES ({0}, '2026-01-1{0} 10:00:00.123456', 'a', 'cli', 'b', 'c', '{{}}')"
)


@pytest.fixture
def aged(database: Database) -> Database:
    """Three rows as an older version wrote them."""
    tamper(database, *(OLD.format(number) for number in (1, 2, 3)))
    if database.dialect == "postgresql":
        tamper(database, "SELECT setval('audit_id_seq', 3)")
    return database


def test_the_first_row_of_a_chain_seals_those_before_it(aged: Database) -> None:
    before = verdict_of(aged)
    assert (before.findings, before.old_rows, before.rows) == ([], 3, 0)
    write(aged, 1, 2)
    after = verdict_of(aged)
    assert (after.findings, after.old_rows, after.rows) == ([], 3, 3)
    with aged.read() as session:
        first = session.execute(TRAIL.select().where(TRAIL.c.sequence == 1)).one()
    assert (first.id, first.action, first.actor) == (4, "audit.begin", "gatehouse")
    said = json.loads(first.detail)
    assert (said["rows"], said["last_id"], len(said["sha256"])) == (3, 3, 64)


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("UPDATE audit SET actor = 'x' WHERE id = 2", "changed"),
        ("DELETE FROM audit WHERE id = 3", "removed"),
        ("DELETE FROM audit WHERE id < 4", "removed"),
        (OLD.format(0), "inserted"),
        (OLD.format(9), "inserted"),
        ("UPDATE audit SET detail = '{}' WHERE sequence = 1", "changed"),
    ],
)
def test_what_is_done_to_rows_from_before_the_chain_is_found(aged: Database, statement: str, kind: str) -> None:
    write(aged, 1, 2)
    tamper(aged, statement)
    assert verdict_of(aged).findings[0].kind == kind


def test_a_database_without_rows_verifies(database: Database) -> None:
    verdict = verdict_of(database)
    assert (verdict.findings, verdict.rows, verdict.old_rows, verdict.head.sequence) == ([], 0, 0, 0)


def test_every_search_through_the_rows_can_be_ended(aged: Database) -> None:
    write(aged, 1, 4)
    tamper(aged, "UPDATE audit SET actor = 'x' WHERE sequence = 3", OLD.format(9))
    for ended in range(1, 5):  # along the chain, for the place of what does not fit, the rows before it, and those outside of it
        assert pauses_until(aged, ended) == ended
    assert pauses_until(aged, 5) == 4


def pauses_until(database: Database, ended: int) -> int:
    """How often a verification paused that was to end at a number of pauses."""
    pauses = 0

    def pause() -> None:
        nonlocal pauses
        pauses += 1
        if pauses == ended:
            raise TimeoutError

    with database.read() as session, suppress(TimeoutError):
        assert len(verify_trail(session, AUDIT_KEYS, pause=pause).findings) == 2
    return pauses
