"""Logins: the same work whoever it is, passwords that change meanwhile, hashes that are renewed, refusals in the audit trail."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest
from audit_keys import AUDIT_KEYS
from sqlalchemy import event
from sqlmodel import Session, select
from stage import ACTOR

from gatehouse.db.session import Database, open_database
from gatehouse.db.tables import AuditTable, PersonTable
from gatehouse.errors import CredentialInvalid, Overloaded
from gatehouse.identity import people, person_store
from gatehouse.identity.login_trail import MOST, WINDOW_S, LoginTrail
from gatehouse.identity.logins import Logins
from gatehouse.identity.passwords import Passwords
from gatehouse.identity.peppers import Peppers
from gatehouse.identity.tenants import create_tenant, suspend_tenant
from gatehouse.identity.tokens import dated_from
from gatehouse.principal import Role

PEPPERS = Peppers({1: b"pepper of a test, which is long enough"})
GOOD, OTHER = "correct horse battery", "donkey paper clip stapler"
CHEAP = {"memory_cost": 8, "time_cost": 1, "parallelism": 1}
HERE = ("192.0.2.1", "req_1")
STATES = ("unknown", "wrong", "suspended", "of a suspended tenant", "not yet accepted")


@pytest.fixture
def database(sqlite_database: Database) -> Database:
    """Most rules need one kind; what waits for others, or is told by its statements, is held on both."""
    return sqlite_database


@pytest.fixture
def each_database(database_url: str) -> Iterator[Database]:
    opened = open_database(database_url, AUDIT_KEYS)
    yield opened
    opened.close()


@pytest.fixture
def logins(database: Database) -> Logins:
    return logins_of(database)


def logins_of(database: Database) -> Logins:
    """On a deployment with a person in each state; all passwords are GOOD."""
    made = Logins(database, Passwords(CHEAP), PEPPERS, LoginTrail(database))
    for tenant in ("acme", "gone"):
        create_tenant(database, ACTOR, tenant, lambda _: {}, models=())
    for name, tenant in (("wrong", "acme"), ("suspended", "acme"), ("member", "gone"), ("invited", "acme")):
        code = people.invite_person(database, ACTOR, name, Role.TENANT_ADMIN, PEPPERS.current, tenant).code
        if name != "invited":
            made.accept(code, GOOD, *HERE)
    people.suspend_person(database, ACTOR, "suspended@acme")
    suspend_tenant(database, ACTOR, "gone")
    return made


def attempt(state: str) -> tuple[str, str]:
    """Name and password of a login that fails for this reason."""
    return {
        "unknown": ("nobody@acme", GOOD),
        "wrong": ("wrong@acme", OTHER),
        "suspended": ("suspended@acme", GOOD),
        "of a suspended tenant": ("member@gone", GOOD),
        "not yet accepted": ("invited@acme", GOOD),
    }[state]


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """What the database is asked, without the values."""
    seen: list[str] = []

    def note(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(database.engine, "before_cursor_execute", note)


def test_row_16_whoever_cannot_log_in_costs_the_same_look_ups_hashes_and_rows(each_database: Database) -> None:
    asked, logins = {}, logins_of(each_database)
    for state in STATES:
        before = logins.passwords.computed
        with statements(each_database) as seen, pytest.raises(CredentialInvalid) as refused:
            logins.log_in(*attempt(state), *HERE)
        assert logins.passwords.computed == before + 1, state
        asked[state] = (seen, refused.value.detail, refused.value.code)
    assert all(each == asked["unknown"] for each in asked.values())
    assert len(asked["unknown"][0]) > 1


def test_row_15_a_password_that_nobody_can_have_is_not_hashed(logins: Logins) -> None:
    before = logins.passwords.computed
    for password in ("", "k7!pQz2", "x" * 129, "x" * 1_000_000):
        for state in STATES:
            with pytest.raises(CredentialInvalid):
                logins.log_in(attempt(state)[0], password, *HERE)
    assert logins.passwords.computed == before


def test_a_login_is_later_than_the_password_that_it_was_made_with(database: Database, logins: Logins) -> None:
    who = logins.log_in("wrong@acme", GOOD, *HERE)
    set_at = who.person.password_set_at
    assert set_at is not None
    assert who.at >= dated_from(set_at)
    code = people.reset_password(database, ACTOR, "wrong@acme", PEPPERS.current).code
    logins.accept(code, OTHER, *HERE)
    renewed = people.show_person(database, "wrong@acme").password_set_at
    assert dated_from(renewed) > who.at, "though both were set within a second"
    assert logins.log_in("wrong@acme", OTHER, *HERE).at >= dated_from(renewed)


def test_a_suspension_and_another_role_end_what_was_got_before_and_the_next_login_is_later(each_database: Database) -> None:
    logins = logins_of(each_database)
    logins.accept(people.invite_person(each_database, ACTOR, "olaf", Role.OPERATOR, PEPPERS.current).code, GOOD, *HERE)
    logins.accept(people.invite_person(each_database, ACTOR, "bea", Role.OPERATOR, PEPPERS.current).code, GOOD, *HERE)
    set_at = people.show_person(each_database, "bea").password_set_at
    before = logins.log_in("bea", GOOD, *HERE).at
    for _ in range(2):
        people.suspend_person(each_database, ACTOR, "bea")
        before = later_login(each_database, logins, before, lambda: people.resume_person(each_database, ACTOR, "bea"))
        people.edit_person(each_database, ACTOR, "bea", Role.AUDITOR)
        before = later_login(each_database, logins, before, lambda: people.edit_person(each_database, ACTOR, "bea", Role.OPERATOR))
    assert people.show_person(each_database, "bea").password_set_at == set_at, "it is the same password"


def later_login(database: Database, logins: Logins, before: int, give_back: Callable[[], object]) -> int:
    """When `bea` logs in after `give_back`, which must be behind a cut-off that is later than a login at `before`."""
    give_back()
    cut_off = dated_from(people.show_person(database, "bea").tokens_from)
    at = logins.log_in("bea", GOOD, *HERE).at
    assert before < cut_off <= at, "though all was within a second"
    return at


def test_a_password_that_is_replaced_while_it_is_proven_logs_nobody_in(each_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    database, logins = each_database, logins_of(each_database)
    code = people.reset_password(database, ACTOR, "wrong@acme", PEPPERS.current).code
    proves = Passwords.proves

    def slow(passwords: Passwords, password: str, stored: str | None) -> bool:
        proven = proves(passwords, password, stored)
        monkeypatch.setattr(Passwords, "proves", proves)
        logins.accept(code, OTHER, *HERE)
        return proven

    monkeypatch.setattr(Passwords, "proves", slow)
    with pytest.raises(CredentialInvalid) as refused:
        logins.log_in("wrong@acme", GOOD, *HERE)
    assert refused.value.reason == "person_changed"
    assert people.show_person(database, "wrong@acme").last_login_at is None
    assert logins.log_in("wrong@acme", OTHER, *HERE)


def test_no_password_is_set_between_the_last_look_at_the_old_one_and_the_login(
    each_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    logins = logins_of(each_database)
    code = people.reset_password(each_database, ACTOR, "wrong@acme", PEPPERS.current).code
    setting = threading.Thread(target=logins.accept, args=(code, OTHER, *HERE))
    mark_login = person_store.mark_login

    def marked(session: Session, person_id: str, at: datetime) -> None:
        setting.start()
        setting.join(0.3)
        assert setting.is_alive(), "it waits for the login's transaction"
        mark_login(session, person_id, at)

    monkeypatch.setattr(person_store, "mark_login", marked)
    who = logins.log_in("wrong@acme", GOOD, *HERE)
    setting.join(20)
    assert dated_from(people.show_person(each_database, "wrong@acme").password_set_at) > who.at


def stored_hash(database: Database, name: str) -> str:
    with database.read() as session:
        found = session.exec(select(PersonTable.password_hash).where(PersonTable.name == name)).one()
    assert found is not None
    return found


def test_row_15_a_password_is_hashed_anew_at_the_next_login_when_the_cost_has_changed(database: Database, logins: Logins) -> None:
    before = stored_hash(database, "wrong@acme")
    dearer = Logins(database, Passwords(CHEAP | {"time_cost": 2}), PEPPERS, LoginTrail(database))
    with pytest.raises(CredentialInvalid):
        dearer.log_in("wrong@acme", OTHER, *HERE)
    assert stored_hash(database, "wrong@acme") == before
    set_at = people.show_person(database, "wrong@acme").password_set_at
    assert dearer.log_in("wrong@acme", GOOD, *HERE)
    after = stored_hash(database, "wrong@acme")
    assert "t=2" in after
    assert people.show_person(database, "wrong@acme").password_set_at == set_at, "it is the same password: tokens go on"
    assert dearer.log_in("wrong@acme", GOOD, *HERE)
    assert stored_hash(database, "wrong@acme") == after


def refusals(session: Session) -> list[tuple[str, dict[str, Any]]]:
    rows = session.exec(select(AuditTable).where(AuditTable.action == "person.login_refused").order_by(AuditTable.id)).all()  # type: ignore[arg-type]
    return [(row.subject, json.loads(row.detail)) for row in rows]


def test_refused_logins_are_in_the_audit_trail_and_what_was_sent_as_a_name_is_not(database: Database, logins: Logins) -> None:
    for state in STATES:
        with pytest.raises(CredentialInvalid):
            logins.log_in(*attempt(state), *HERE)
    with database.read() as session:
        found = refusals(session)
    assert [detail["reason"] for _, detail in found] == [
        "person_unknown",
        "password_wrong",
        "person_suspended",
        "tenant_suspended",
        "password_not_set",
    ]
    assert found[0][0] == "nobody"
    assert found[1][0] == people.show_person(database, "wrong@acme").id


def test_refused_logins_fill_no_database_and_those_that_were_left_out_are_counted(sqlite_database: Database) -> None:
    now = 0.0
    trail = LoginTrail(sqlite_database, lambda: now)
    for _ in range(MOST + 7):
        trail.refused(None, "person_unknown", *HERE)
    with sqlite_database.read() as session:
        assert len(refusals(session)) == MOST
    now = WINDOW_S
    trail.refused(None, "person_unknown", *HERE)
    trail.refused(None, "person_unknown", *HERE)
    with sqlite_database.read() as session:
        assert [detail for _, detail in refusals(session)[MOST:]] == [
            {"reason": "person_unknown", "further_refusals_before": 7},
            {"reason": "person_unknown"},
        ]


def test_where_too_many_wait_nobody_is_refused_as_wrong(logins: Logins) -> None:
    full = Logins(logins.database, Passwords(CHEAP, at_once=0, waiting=1), PEPPERS, logins.trail)
    full.passwords._places.acquire()
    for state in STATES:
        with pytest.raises(Overloaded):
            full.log_in(*attempt(state), *HERE)
