"""What a use of a key leaves behind is written later, in batches, seldom, and is not lost while the database is away."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event
from sqlmodel import Session

from gatehouse.db.audit import Actor
from gatehouse.db.session import Database, open_database
from gatehouse.identity import key_store, keys, tenants, uses
from gatehouse.identity.api_keys import digest
from gatehouse.identity.key_store import Redigest, StoredSecret
from gatehouse.identity.peppers import Pepper
from gatehouse.identity.uses import KeyUses

ALICE = Actor("os-user:alice", "cli")
OLD = Pepper(b"pepper of the tests, long enough", 1)
NEW = Pepper(b"the pepper that comes after that", 2)
NOON = 1_800_000_000.0


class Clock:
    def __init__(self) -> None:
        self.monotonic = 50.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def made(database: Database) -> list[keys.CreatedKey]:
    def known(_session: Session) -> Mapping[str, frozenset[str]]:
        return {}

    tenants.create_tenant(database, ALICE, "acme", known)
    return [keys.create_key(database, ALICE, "acme", OLD) for _ in range(3)]


@pytest.fixture
def ledger(database: Database, clock: Clock) -> KeyUses:
    return KeyUses(database, monotonic=lambda: clock.monotonic)


def last_use(database: Database, key_id: str) -> float | None:
    at = keys.show_key(database, key_id).last_used_at
    return at.timestamp() if at else None


def updates(database: Database) -> list[Any]:
    seen: list[Any] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, _context: object, many: bool) -> None:
        if statement.startswith("UPDATE"):
            seen.extend(parameters if many else [parameters])

    event.listen(database.engine, "before_cursor_execute", note)
    return seen


def test_uses_are_written_together_and_each_key_at_most_once_a_minute(
    database: Database, made: list[keys.CreatedKey], ledger: KeyUses, clock: Clock
) -> None:
    seen = updates(database)
    for second in range(5):
        for each in made[:2]:
            ledger.note(each.key.id, NOON + second)
    assert seen == [], "a call itself writes nothing"
    ledger.write()
    assert len(seen) == 2
    ledger.note(made[0].key.id, NOON + 30)
    for clock.monotonic in (80.0, 109.9):
        ledger.write()
    assert (len(seen), last_use(database, made[0].key.id)) == (2, NOON + 4)
    clock.monotonic = 110.0
    ledger.write()
    ledger.write()
    assert (len(seen), last_use(database, made[0].key.id), last_use(database, made[1].key.id)) == (3, NOON + 30, NOON + 4)
    assert last_use(database, made[2].key.id) is None


def test_a_process_that_writes_late_does_not_turn_time_back(database: Database, made: list[keys.CreatedKey], clock: Clock) -> None:
    early, late = KeyUses(database), KeyUses(database)
    early.note(made[0].key.id, NOON)
    late.note(made[0].key.id, NOON + 10)
    late.write()
    early.write()
    assert last_use(database, made[0].key.id) == NOON + 10


def test_closing_writes_what_is_left(database: Database, made: list[keys.CreatedKey], ledger: KeyUses) -> None:
    ledger.start()
    ledger.note(made[0].key.id, NOON)
    ledger.write()
    ledger.note(made[0].key.id, NOON + 20)
    ledger.close()
    assert last_use(database, made[0].key.id) == NOON + 20


def test_a_use_during_a_write_is_kept_for_the_next(
    database: Database, made: list[keys.CreatedKey], ledger: KeyUses, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = key_store.write_last_uses

    def and_used_again(session: Session, batch: Any) -> None:
        write(session, batch)
        ledger.note(made[0].key.id, NOON + 7)

    monkeypatch.setattr(uses.key_store, "write_last_uses", and_used_again)
    ledger.note(made[0].key.id, NOON)
    ledger.write()
    monkeypatch.undo()
    clock.monotonic += 60
    ledger.write()
    assert last_use(database, made[0].key.id) == NOON + 7


def test_while_the_database_is_away_nothing_is_lost_and_one_line_is_said(
    sqlite_database: Database, caplog: pytest.LogCaptureFixture, tmp_path: Any
) -> None:
    away = open_database(f"sqlite:///{tmp_path / 'nowhere' / 'x.db'}")
    ledger = KeyUses(away)
    ledger.note("key", NOON)
    ledger._round()
    ledger._round()
    assert [record.message for record in caplog.records] == ["the last uses of keys cannot be written now (OperationalError)"]
    assert ledger._used == {"key": NOON}
    away.close()


def test_row_106_a_digest_moves_to_the_new_pepper_wherever_the_secret_stands_by_then(
    database: Database, made: list[keys.CreatedKey]
) -> None:
    def moved(each: keys.CreatedKey) -> Redigest:
        before, after = (StoredSecret(digest(each.text, pepper.secret), pepper.version) for pepper in (OLD, NEW))
        return Redigest(each.key.id, before, after)

    used, rotated, replaced = made
    ledger = KeyUses(database)
    for each in made:
        ledger.renew(moved(each))
    keys.rotate_key(database, ALICE, rotated.key.id, NEW)
    keys.rotate_key(database, ALICE, replaced.key.id, NEW, timedelta(0))
    ledger.write()
    with database.read() as session:
        found = {each.key.id: key_store.find_key(session, each.key.id) for each in made}
    one, two, three = (found[each.key.id] for each in made)
    assert one is not None
    assert two is not None
    assert three is not None
    assert (one.digest, one.pepper_version) == (digest(used.text, NEW.secret), 2)
    assert two.previous == StoredSecret(digest(rotated.text, NEW.secret), 2)
    assert (two.digest == digest(rotated.text, NEW.secret), three.previous) == (False, None)
    assert digest(replaced.text, NEW.secret) != three.digest, "a secret that is gone does not come back"
    assert keys.list_keys(database, under_pepper=1) == []
