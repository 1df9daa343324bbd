"""People who log in: operators, auditors and tenant admins. Each change is checked, stored, numbered and audited in one transaction.

`by` is the id of the person who asks, where it is one: nobody changes the own role or takes the own access away.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlmodel import Session

from gatehouse.db.audit import Actor, record_audit
from gatehouse.db.revision import hold_revision, record_change
from gatehouse.db.session import Database
from gatehouse.errors import Refused
from gatehouse.identity import person_store
from gatehouse.identity.api_keys import random_text
from gatehouse.identity.cut_off import cut_off
from gatehouse.identity.names import NAME
from gatehouse.identity.one_time_codes import mint_code
from gatehouse.identity.peppers import Pepper
from gatehouse.identity.person_store import Person
from gatehouse.identity.store import Tenant
from gatehouse.identity.tenants import named_tenant, operator_tenant
from gatehouse.principal import OPERATOR_TENANT, Role

ID_PREFIX = "per_"
ID_CHARACTERS = 16
MOST_PEOPLE = 1000
"""People of a tenant."""
OPERATOR_ROLES = (Role.OPERATOR, Role.AUDITOR)
"""Of people of the deployment itself."""


class NoSuchPerson(Refused):
    """Nobody has this name or id, or nobody of this tenant."""

    def __init__(self, name_or_id: str) -> None:
        super().__init__(f"nobody is called {name_or_id!r}: gatehouse people list shows who there is", fact="there is no such person")


@dataclass(frozen=True, slots=True)
class Invited:
    """A person, and the text of a one-time code, which exists here and nowhere else."""

    person: Person
    code: str

    def __repr__(self) -> str:
        return f"Invited({self.person!r})"


def create_operator(database: Database, actor: Actor, name: str, pepper: Pepper) -> Invited:
    """The first operator. Raises Refused where another one can log in, who may invite further ones."""
    with database.write() as session:
        hold_revision(session)
        others = [person.name for person in person_store.list_people(session, role=Role.OPERATOR) if person.state == "active"]
        if others:
            raise Refused(f"{others[0]} is an operator already: gatehouse people invite {name} --role operator")
        return _invite(session, actor, name, Role.OPERATOR, operator_tenant(session, actor), pepper)


def invite_person(database: Database, actor: Actor, name: str, role: Role, pepper: Pepper, tenant: str | None = None) -> Invited:
    """A new person, who sets a password by the code. A tenant admin of acme who is invited as lead logs in as lead@acme.

    Raises Refused.
    """
    _check_place(role, tenant)
    with database.write() as session:
        hold_revision(session)
        place = operator_tenant(session, actor) if tenant is None or tenant == OPERATOR_TENANT else named_tenant(session, tenant)
        return _invite(session, actor, name, role, place, pepper)


def reset_password(database: Database, actor: Actor, name_or_id: str, pepper: Pepper, *, of: str | None = None) -> Invited:
    """A code by which the person sets another password; the one from before works until then. Raises Refused."""
    with database.write() as session:
        hold_revision(session)
        person = named_person(session, name_or_id, of)
        if person.suspended_at is not None:
            raise Refused(
                f"{person.name} is suspended: gatehouse people resume {person.name} comes first",
                fact="the person is suspended: resume first",
            )
        code = mint_code(pepper, datetime.now(UTC))
        person_store.put_code(session, person.id, code.stored)
        record_change(session, "person", person.id)
        detail = {"name": person.name, "code_expires_at": code.stored.expires_at.isoformat()}
        record_audit(session, actor, "person.reset", person.id, detail)
        return Invited(replace(person, code_expires_at=code.stored.expires_at), code.text)


def edit_person(database: Database, actor: Actor, name_or_id: str, role: Role, *, by: str = "") -> Person:
    """Make an auditor an operator, or the other way round. Raises Refused."""
    with database.write() as session:
        hold_revision(session)
        before = named_person(session, name_or_id)
        if role == before.role:
            return before
        if before.tenant != OPERATOR_TENANT or role not in OPERATOR_ROLES:
            said = f"{before.name} is of {before.tenant} and can only be {' or '.join(_roles_of(before.tenant))}"
            raise Refused(said, fact="a person of this tenant cannot have the role", member="role")
        _check_not_oneself(before, by)
        _check_operator_left(session, before)
        after = replace(before, role=role, tokens_from=cut_off(session, before))
        return _change(session, actor, "person.edit", before, after)


def suspend_person(database: Database, actor: Actor, name_or_id: str, *, of: str | None = None, by: str = "") -> Person:
    """Refuse logins of a person until it is resumed, and end its tokens and one-time codes for good. Raises Refused."""

    def suspended(session: Session, before: Person) -> Person:
        _check_not_oneself(before, by)
        _check_operator_left(session, before)
        return replace(before, suspended_at=datetime.now(UTC), code_expires_at=None, tokens_from=cut_off(session, before))

    return _suspension(database, actor, "person.suspend", name_or_id, of, suspended, wanted=True)


def resume_person(database: Database, actor: Actor, name_or_id: str, *, of: str | None = None) -> Person:
    """Let a suspended person log in again, with the password from before. Raises Refused."""
    return _suspension(database, actor, "person.resume", name_or_id, of, lambda _, before: replace(before, suspended_at=None), wanted=False)


def remove_person(database: Database, actor: Actor, name_or_id: str, *, of: str | None = None, by: str = "") -> Person:
    """Take a person out for good; what it did stays in the audit trail under its id. Raises Refused."""
    with database.write() as session:
        hold_revision(session)
        person = named_person(session, name_or_id, of)
        _check_not_oneself(person, by)
        _check_operator_left(session, person)
        person_store.remove_person(session, person.id)
        record_change(session, "person", person.id)
        record_audit(session, actor, "person.remove", person.id, before=facts_of_person(person))
        return person


def list_people(database: Database, tenant_name: str | None = None) -> list[Person]:
    """People of one tenant, or all, by name. Raises NotKnown."""
    with database.read() as session:
        return person_store.list_people(session, None if tenant_name is None else named_tenant(session, tenant_name))


def show_person(database: Database, name_or_id: str, *, of: str | None = None) -> Person:
    """One person, who must be of the tenant `of` where that is given. Raises NoSuchPerson."""
    with database.read() as session:
        return named_person(session, name_or_id, of)


def named_person(session: Session, name_or_id: str, tenant: str | None = None) -> Person:
    """Raises NoSuchPerson."""
    person = person_store.show_person(session, name_or_id)
    if person is None or tenant not in (None, person.tenant):
        raise NoSuchPerson(name_or_id)
    return person


def login_name(name: str, tenant: str) -> str:
    """What is sent to log in. A tenant's people have names of their own, so that none tells whether another tenant has somebody so called.

    Raises Refused.
    """
    if NAME.fullmatch(name) is None:
        raise Refused("a person's name has 1 to 63 small letters, digits, '-' and '_' and starts with a letter or digit", member="name")
    return name if tenant == OPERATOR_TENANT else f"{name}@{tenant}"


def facts_of_person(person: Person) -> dict[str, object]:
    """What may be decided about a person, for the audit trail."""
    suspended_at = person.suspended_at
    return {
        "name": person.name,
        "role": person.role.value,
        "tenant": person.tenant,
        "suspended_at": suspended_at.isoformat() if suspended_at else None,
    }


def _invite(session: Session, actor: Actor, name: str, role: Role, tenant: Tenant, pepper: Pepper) -> Invited:
    full_name = login_name(name, tenant.name)
    if person_store.show_person(session, full_name) is not None:
        raise Refused(
            f"{full_name} is there already: for another password, gatehouse people reset {full_name}",
            fact="there is a person of this name already",
        )
    if person_store.count_people(session, tenant.id) >= MOST_PEOPLE:
        raise Refused(f"there are {MOST_PEOPLE} people of {tenant.name} already: remove those who are gone")
    now = datetime.now(UTC)
    code = mint_code(pepper, now)
    id = ID_PREFIX + random_text(ID_CHARACTERS)
    person = Person(id, full_name, role, tenant.name, now, code_expires_at=code.stored.expires_at)
    person_store.add_person(session, person, tenant, code.stored)
    record_change(session, "person", person.id)
    record_audit(session, actor, "person.invite", person.id, after=facts_of_person(person))
    return Invited(person, code.text)


def _suspension(
    database: Database,
    actor: Actor,
    action: str,
    name_or_id: str,
    of: str | None,
    changed: Callable[[Session, Person], Person],
    *,
    wanted: bool,
) -> Person:
    with database.write() as session:
        hold_revision(session)
        before = named_person(session, name_or_id, of)
        if (before.suspended_at is not None) == wanted:
            return before
        return _change(session, actor, action, before, changed(session, before))


def _change(session: Session, actor: Actor, action: str, before: Person, after: Person) -> Person:
    person_store.change_person(session, after)
    record_change(session, "person", after.id)
    record_audit(session, actor, action, after.id, before=facts_of_person(before), after=facts_of_person(after))
    return after


def _check_place(role: Role, tenant: str | None) -> None:
    """Raises Refused where the role has no place at the tenant."""
    if role not in _roles_of(tenant or OPERATOR_TENANT):
        if role is Role.TENANT_ADMIN:
            raise Refused("a tenant admin needs a tenant: name it with --tenant", fact="a tenant admin needs a tenant", member="tenant")
        said = f"people of a tenant can only be {Role.TENANT_ADMIN}"
        raise Refused(f"{said}: leave --tenant out for an {role}", fact=said, member="role")


def _roles_of(tenant: str) -> tuple[Role, ...]:
    return OPERATOR_ROLES if tenant == OPERATOR_TENANT else (Role.TENANT_ADMIN,)


def _check_not_oneself(person: Person, by: str) -> None:
    if person.id == by:
        raise Refused("nobody changes the own role, or suspends or removes oneself: somebody else must do it")


def _check_operator_left(session: Session, person: Person) -> None:
    """Raises Refused where nobody who runs this deployment could log in any more."""
    if person.role is not Role.OPERATOR or person.state != "active":
        return
    if not any(other.state == "active" for other in person_store.other_operators(session, person.id)):
        raise Refused(
            f"{person.name} is the last operator who can log in: gatehouse people invite NAME --role operator first",
            fact="this is the last operator who can log in: invite another one first",
        )
