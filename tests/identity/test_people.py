"""People: who may be what, one-time codes, and that somebody is always left who can log in."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from audit_keys import AUDIT_KEYS
from sqlalchemy import text, update
from sqlmodel import select
from stage import ACTOR

from gatehouse.db.revision import changes_since
from gatehouse.db.session import Database, open_database
from gatehouse.db.tables import AuditTable, PersonTable
from gatehouse.errors import NotKnown, Refused
from gatehouse.identity import people, person_store
from gatehouse.identity.key_wishes import WishRefused
from gatehouse.identity.login_trail import LoginTrail
from gatehouse.identity.logins import CodeRefused, Logins
from gatehouse.identity.passwords import Passwords
from gatehouse.identity.people import Invited, NoSuchPerson
from gatehouse.identity.peppers import Peppers
from gatehouse.identity.person_store import Person
from gatehouse.identity.tenants import create_tenant
from gatehouse.principal import Role

OLD, NEW = b"pepper one of a test, long enough", b"pepper two of a test, long enough"
PEPPERS = Peppers({1: OLD})
GOOD, OTHER = "correct horse battery", "donkey paper clip stapler"
CHEAP = {"memory_cost": 8, "time_cost": 1, "parallelism": 1}
HERE = ("192.0.2.1", "req_1")


@pytest.fixture
def database(sqlite_database: Database) -> Database:
    """Most rules need one kind; what waits for others, or is told by its statements, is held on both."""
    return sqlite_database


@pytest.fixture
def each_database(database_url: str) -> Iterator[Database]:
    opened = open_database(database_url, AUDIT_KEYS)
    yield opened
    opened.close()


def logins_of(database: Database) -> Logins:
    return Logins(database, Passwords(CHEAP), PEPPERS, LoginTrail(database))


@pytest.fixture
def logins(database: Database) -> Logins:
    return logins_of(database)


def operator(database: Database, logins: Logins, name: str) -> Person:
    """An operator who can log in."""
    made = people.invite_person(database, ACTOR, name, Role.OPERATOR, PEPPERS.current)
    return logins.accept(made.code, GOOD, *HERE)


def lead(database: Database, tenant: str = "acme", name: str = "lead") -> Invited:
    create_tenant(database, ACTOR, tenant, lambda _: {}, models=())
    return people.invite_person(database, ACTOR, name, Role.TENANT_ADMIN, PEPPERS.current, tenant)


def trail(database: Database, subject: str) -> list[tuple[str, str, dict[str, Any]]]:
    with database.read() as session:
        rows = session.exec(select(AuditTable).where(AuditTable.subject == subject).order_by(AuditTable.id)).all()  # type: ignore[arg-type]
        return [(row.action, row.actor, json.loads(row.detail)) for row in rows]


def test_row_49_each_change_of_a_person_is_audited_and_numbered_with_what_was_before_and_after(each_database: Database) -> None:
    database = each_database
    with database.read() as session:
        before = len(changes_since(session, 0))
    made = people.invite_person(database, ACTOR, "bea", Role.AUDITOR, PEPPERS.current).person
    people.edit_person(database, ACTOR, "bea", Role.OPERATOR)
    people.suspend_person(database, ACTOR, made.id)
    people.suspend_person(database, ACTOR, made.id)  # changes nothing, and leaves nothing
    people.resume_person(database, ACTOR, "bea")
    people.reset_password(database, ACTOR, "bea", PEPPERS.current)
    people.remove_person(database, ACTOR, "bea")
    rows = trail(database, made.id)
    assert [action for action, _, _ in rows] == [f"person.{each}" for each in ("invite", "edit", "suspend", "resume", "reset", "remove")]
    assert {actor for _, actor, _ in rows} == {ACTOR.name}
    edited = rows[1][2]
    assert (edited["before"]["role"], edited["after"]["role"]) == ("auditor", "operator")
    assert rows[2][2]["before"]["suspended_at"] is None
    assert rows[2][2]["after"]["suspended_at"] is not None
    with database.read() as session:
        changed = [change for change in changes_since(session, 0)[before:] if change.kind == "person"]
        assert [change.id for change in changed] == [made.id] * 6
        assert person_store.find_person(session, made.id) is None


def test_row_7_a_code_is_stored_as_a_keyed_digest_and_shown_nowhere_again(database: Database, logins: Logins) -> None:
    made = lead(database)
    assert made.code not in repr(made)
    logins.accept(made.code, GOOD, *HERE)
    again = people.reset_password(database, ACTOR, "lead@acme", PEPPERS.current)
    with database.read() as session:
        stored = repr(session.execute(text("SELECT * FROM person")).all()) + repr(session.execute(text("SELECT * FROM audit")).all())
    for secret in (made.code, again.code, GOOD):
        assert secret not in stored
        assert secret.removeprefix("once_")[:16] not in stored
    assert again.code not in repr(people.list_people(database))


def test_a_code_sets_one_password_and_is_spent_and_a_second_code_ends_the_first(database: Database, logins: Logins) -> None:
    made = lead(database)
    with pytest.raises(WishRefused):
        logins.accept(made.code, "password1234", *HERE)
    assert logins.accept(made.code, GOOD, *HERE).name == "lead@acme"  # a refused password has not spent it
    first = people.reset_password(database, ACTOR, "lead@acme", PEPPERS.current).code
    second = people.reset_password(database, ACTOR, "lead@acme", PEPPERS.current).code
    for code in (made.code, first, "once_" + "x" * 32, "", "once_", "x" * 5000, made.code + "\x00"):
        with pytest.raises(CodeRefused):
            logins.accept(code, OTHER, *HERE)
    assert logins.log_in("lead@acme", GOOD, *HERE).person.name == "lead@acme", "the password from before works until then"
    logins.accept(second, OTHER, *HERE)
    assert logins.log_in("lead@acme", OTHER, *HERE)
    actions = [action for action, _, _ in trail(database, made.person.id)]
    assert actions == [
        "person.invite",
        "person.accept",
        "person.reset",
        "person.reset",
        "person.login",
        "person.new_password",
        "person.login",
    ]


def test_of_many_who_send_one_code_at_once_one_sets_the_password(each_database: Database) -> None:
    code, logins = lead(each_database).code, logins_of(each_database)

    def accept(n: int) -> str | None:
        try:
            logins.accept(code, f"{GOOD} {n}", *HERE)
        except CodeRefused:
            return None
        return f"{GOOD} {n}"

    with ThreadPoolExecutor(4) as pool:
        set_by = [password for password in pool.map(accept, range(4)) if password]
    assert len(set_by) == 1
    assert logins.log_in("lead@acme", set_by[0], *HERE)


def test_a_code_ends_after_a_day(database: Database, logins: Logins) -> None:
    made = lead(database)
    ends_at = made.person.code_expires_at
    assert ends_at is not None
    assert timedelta(hours=23, minutes=59) < ends_at - datetime.now(UTC) <= timedelta(hours=24)
    with database.write() as session:
        session.execute(update(PersonTable).values(code_expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    with pytest.raises(CodeRefused):
        logins.accept(made.code, GOOD, *HERE)


def test_row_106_a_code_outlives_a_change_of_the_pepper_while_the_one_before_is_known(database: Database) -> None:
    made = lead(database)
    trail_, passwords = LoginTrail(database), Passwords(CHEAP)
    with pytest.raises(CodeRefused):
        Logins(database, passwords, Peppers({2: NEW}), trail_).accept(made.code, GOOD, *HERE)
    renewed = Logins(database, passwords, Peppers({2: NEW, 1: OLD}), trail_)
    assert renewed.accept(made.code, GOOD, *HERE).name == "lead@acme"
    again = people.reset_password(database, ACTOR, "lead@acme", Peppers({2: NEW, 1: OLD}).current)
    assert Logins(database, passwords, Peppers({2: NEW}), trail_).accept(again.code, OTHER, *HERE)


def test_who_is_suspended_has_no_code_and_cannot_be_given_one(database: Database, logins: Logins) -> None:
    made = lead(database)
    people.suspend_person(database, ACTOR, "lead@acme")
    with pytest.raises(CodeRefused):
        logins.accept(made.code, GOOD, *HERE)
    with pytest.raises(Refused, match="is suspended"):
        people.reset_password(database, ACTOR, "lead@acme", PEPPERS.current)
    people.resume_person(database, ACTOR, "lead@acme")
    with pytest.raises(CodeRefused):
        logins.accept(made.code, GOOD, *HERE)
    logins.accept(people.reset_password(database, ACTOR, "lead@acme", PEPPERS.current).code, GOOD, *HERE)
    assert logins.log_in("lead@acme", GOOD, *HERE)


@pytest.mark.parametrize(
    "change",
    [
        lambda database, name: people.suspend_person(database, ACTOR, name),
        lambda database, name: people.remove_person(database, ACTOR, name),
        lambda database, name: people.edit_person(database, ACTOR, name, Role.AUDITOR),
    ],
    ids=["suspend", "remove", "edit"],
)
def test_the_last_operator_who_can_log_in_stays(database: Database, logins: Logins, change: Callable[[Database, str], Person]) -> None:
    operator(database, logins, "alice")
    people.invite_person(database, ACTOR, "bob", Role.OPERATOR, PEPPERS.current)  # who has no password yet
    people.invite_person(database, ACTOR, "carl", Role.AUDITOR, PEPPERS.current)
    with pytest.raises(Refused, match="last operator who can log in") as refused:
        change(database, "alice")
    assert "gatehouse" not in refused.value.fact
    assert change(database, "bob").name == "bob"
    operator(database, logins, "dora")
    assert change(database, "alice").name == "alice"


def test_two_operators_who_suspend_each_other_at_once_leave_one(each_database: Database) -> None:
    names, logins = ("alice", "bob"), logins_of(each_database)
    ids = {name: operator(each_database, logins, name).id for name in names}

    def suspend(n: int) -> bool:
        try:
            people.suspend_person(each_database, ACTOR, names[n], by=ids[names[1 - n]])
        except Refused:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(suspend, range(2))) == [False, True]


def test_row_47_nobody_changes_the_own_role_or_shuts_oneself_out(database: Database, logins: Logins) -> None:
    alice, bob = operator(database, logins, "alice"), operator(database, logins, "bob")
    for change in (
        lambda: people.edit_person(database, ACTOR, "alice", Role.AUDITOR, by=alice.id),
        lambda: people.suspend_person(database, ACTOR, "alice", by=alice.id),
        lambda: people.remove_person(database, ACTOR, alice.id, by=alice.id),
    ):
        with pytest.raises(Refused, match="somebody else must do it"):
            change()
    assert people.remove_person(database, ACTOR, "alice", by=bob.id).name == "alice"


@pytest.mark.parametrize(
    ("role", "tenant", "member"),
    [
        (Role.TENANT_ADMIN, None, "tenant"),
        (Role.TENANT_ADMIN, "_operator", "tenant"),
        (Role.AUDITOR, "acme", "role"),
        (Role.OPERATOR, "acme", "role"),
    ],
)
def test_a_role_has_its_place(database: Database, role: Role, tenant: str | None, member: str) -> None:
    lead(database)
    with pytest.raises(Refused) as refused:
        people.invite_person(database, ACTOR, "x", role, PEPPERS.current, tenant)
    assert refused.value.member == member
    with pytest.raises(Refused) as refused:
        people.edit_person(database, ACTOR, "lead@acme", Role.OPERATOR)
    assert refused.value.member == "role"


@pytest.mark.parametrize("name", ["", "Lead", "a b", "-lead", "lead@acme", "x" * 64, "a\x00b", "é", "lead%", "_operator"])
def test_a_name_that_cannot_be_is_refused(database: Database, name: str) -> None:
    create_tenant(database, ACTOR, "acme", lambda _: {}, models=())
    with pytest.raises(Refused) as refused:
        people.invite_person(database, ACTOR, name, Role.TENANT_ADMIN, PEPPERS.current, "acme")
    assert refused.value.member == "name"
    assert people.list_people(database) == []


def test_names_are_a_tenants_own_and_a_tenant_sees_its_own_alone(database: Database) -> None:
    acme, beta = lead(database, "acme").person, lead(database, "beta").person
    assert (acme.name, beta.name) == ("lead@acme", "lead@beta")
    with pytest.raises(Refused, match="lead@acme is there already"):
        people.invite_person(database, ACTOR, "lead", Role.TENANT_ADMIN, PEPPERS.current, "acme")
    with pytest.raises(NotKnown):
        people.invite_person(database, ACTOR, "lead", Role.TENANT_ADMIN, PEPPERS.current, "nobody")
    assert [person.id for person in people.list_people(database, "acme")] == [acme.id]
    for change in (
        lambda: people.show_person(database, beta.id, of="acme"),
        lambda: people.reset_password(database, ACTOR, "lead@beta", PEPPERS.current, of="acme"),
        lambda: people.suspend_person(database, ACTOR, beta.id, of="acme"),
        lambda: people.resume_person(database, ACTOR, beta.id, of="acme"),
        lambda: people.remove_person(database, ACTOR, beta.id, of="acme"),
    ):
        with pytest.raises(NoSuchPerson):
            change()


def test_a_tenants_people_are_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "MOST_PEOPLE", 1)
    lead(database)
    with pytest.raises(Refused, match="1 people of acme already"):
        people.invite_person(database, ACTOR, "further", Role.TENANT_ADMIN, PEPPERS.current, "acme")


def test_row_49_who_accepts_and_logs_in_is_the_person_from_the_address_in_the_call(database: Database, logins: Logins) -> None:
    made = lead(database)
    logins.accept(made.code, GOOD, "192.0.2.7", "req_7")
    logins.log_in("lead@acme", GOOD, "192.0.2.8", "req_8")
    with database.read() as session:
        rows = session.exec(select(AuditTable).where(AuditTable.actor == f"person:{made.person.id}")).all()
        assert [(row.action, row.source, row.request_id) for row in rows] == [
            ("person.accept", "192.0.2.7", "req_7"),
            ("person.login", "192.0.2.8", "req_8"),
        ]
    shown = people.show_person(database, "lead@acme")
    assert shown.last_login_at is not None
