"""Everything that is read and written of people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import and_, bindparam, delete, insert, literal, or_, update
from sqlalchemy import select as sqlalchemy_select
from sqlmodel import Session, col, func, select

from gatehouse.db.tables import GrantTable, PersonTable, PlanTable, TenantTable
from gatehouse.identity.store import Tenant, plan_of, scopes_of_tenant, versions_by_model
from gatehouse.principal import ROLE_SCOPES, Principal, Role

State = Literal["active", "invited", "suspended"]


@dataclass(frozen=True, slots=True)
class Person:
    """What may be shown of a person."""

    id: str
    name: str
    role: Role
    tenant: str
    created_at: datetime
    suspended_at: datetime | None = None
    password_set_at: datetime | None = None
    last_login_at: datetime | None = None
    code_expires_at: datetime | None = None
    """Until when a one-time code that was given sets a password."""
    tokens_from: datetime | None = None
    """Tokens got before it have ended."""

    @property
    def state(self) -> State:
        """`invited` until a first password is set."""
        if self.suspended_at is not None:
            return "suspended"
        return "active" if self.password_set_at is not None else "invited"


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonFilter:
    """None is any. `tenant` is an id or a name."""

    tenant: str | None = None
    role: Role | None = None
    suspended: bool | None = None


@dataclass(frozen=True, slots=True)
class StoredLogin:
    """What a login is checked against."""

    person: Person
    tenant_id: str
    password_hash: str | None
    tenant_suspended: bool

    def __repr__(self) -> str:
        return f"StoredLogin({self.person!r})"


@dataclass(frozen=True, slots=True)
class StoredPerson:
    """What a call is checked against."""

    principal: Principal
    suspended: bool
    tenant_suspended: bool
    tokens_from: datetime | None


@dataclass(frozen=True, slots=True)
class StoredCode:
    """A one-time code, as a digest under the pepper of a version."""

    digest: bytes
    pepper_version: int
    expires_at: datetime


_ONE_ROW = sqlalchemy_select(literal(1).label("one")).subquery("one_row")
_LOGIN = sqlalchemy_select(PersonTable, col(TenantTable.name), col(TenantTable.suspended_at)).select_from(
    _ONE_ROW.outerjoin(PersonTable, col(PersonTable.name) == bindparam("name")).outerjoin(
        TenantTable, col(TenantTable.id) == col(PersonTable.tenant_id)
    )
)


def find_login(session: Session, name: str) -> StoredLogin | None:
    """Whoever logs in by this name, in one query that brings one row also where there is nobody."""
    row, tenant, suspended_at = session.execute(_LOGIN, {"name": name}).one()
    return None if row is None else StoredLogin(_person(row, tenant), row.tenant_id, row.password_hash, suspended_at is not None)


def find_person(session: Session, person_id: str) -> StoredPerson | None:
    """A person with tenant, plan and grants, in two queries; also a suspended one, whom the caller refuses."""
    query = (
        select(PersonTable, TenantTable, PlanTable)
        .join(TenantTable, col(TenantTable.id) == col(PersonTable.tenant_id))
        .join(PlanTable, col(PlanTable.name) == col(TenantTable.plan))
        .where(PersonTable.id == person_id)
    )
    found = session.exec(query).one_or_none()
    if found is None:
        return None
    row, tenant, plan = found
    grants = session.exec(select(GrantTable.model, GrantTable.api_version).where(GrantTable.tenant_id == tenant.id))
    role = Role(row.role)
    principal = Principal(
        tenant_id=tenant.id,
        tenant=tenant.name,
        key_id="",
        scopes=ROLE_SCOPES[role] & scopes_of_tenant(tenant.name),
        plan=plan_of(plan),
        default_model=tenant.default_model,
        grants=versions_by_model(grants),
        person_id=row.id,
        role=role,
    )
    return StoredPerson(principal, row.suspended_at is not None, tenant.suspended_at is not None, row.tokens_from)


def show_person(session: Session, name_or_id: str) -> Person | None:
    """One person."""
    found = session.execute(_SHOWN.where(or_(col(PersonTable.id) == name_or_id, col(PersonTable.name) == name_or_id))).first()
    return None if found is None else _person(*found)


def person_of_code(session: Session, digests: Mapping[int, bytes], now: datetime) -> Person | None:
    """Whose one-time code it is that has one of these digests, by version of the pepper; nobody's once it has ended."""
    version, digest = col(PersonTable.code_pepper_version), col(PersonTable.code_digest)
    any_of_them = or_(*(and_(version == number, digest == each) for number, each in digests.items()))
    found = session.execute(_SHOWN.where(any_of_them, col(PersonTable.code_expires_at) > now)).first()
    return None if found is None else _person(*found)


def list_people(session: Session, tenant: Tenant | None = None, role: Role | None = None) -> list[Person]:
    """People by name, of one tenant or all, in one role or all."""
    return page_of_people(session, PersonFilter(tenant=tenant.id if tenant else None, role=role), "", None)


def page_of_people(session: Session, narrowed: PersonFilter, after: str, most: int | None) -> list[Person]:
    """People by name, at most so many behind the name `after`."""
    query = _SHOWN.where(col(PersonTable.name) > after).order_by(col(PersonTable.name)).limit(most)
    suspended = col(PersonTable.suspended_at)
    if narrowed.tenant is not None:
        query = query.where(or_(col(TenantTable.id) == narrowed.tenant, col(TenantTable.name) == narrowed.tenant))
    if narrowed.role is not None:
        query = query.where(col(PersonTable.role) == narrowed.role)
    if narrowed.suspended is not None:
        query = query.where(suspended.is_not(None) if narrowed.suspended else suspended.is_(None))
    return [_person(*found) for found in session.execute(query)]


def count_people(session: Session, tenant_id: str) -> int:
    return session.exec(select(func.count()).select_from(PersonTable).where(PersonTable.tenant_id == tenant_id)).one()


def add_person(session: Session, person: Person, tenant: Tenant, code: StoredCode) -> None:
    row = {"id": person.id, "name": person.name, "role": person.role.value, "tenant_id": tenant.id, "created_at": person.created_at}
    session.execute(insert(PersonTable).values(**row, **_code_columns(code)))


def put_code(session: Session, person_id: str, code: StoredCode) -> None:
    """The person's one-time code from now on; one from before ends."""
    _change(session, person_id, **_code_columns(code))


def put_password(session: Session, person_id: str, password_hash: str, at: datetime) -> None:
    """Another password, set by a one-time code, which is spent by it; tokens from before end."""
    spent = {"code_digest": None, "code_pepper_version": None, "code_expires_at": None}
    _change(session, person_id, password_hash=password_hash, password_set_at=at, tokens_from=at, **spent)


def put_hash(session: Session, person_id: str, password_hash: str) -> None:
    """The same password, hashed anew."""
    _change(session, person_id, password_hash=password_hash)


def mark_login(session: Session, person_id: str, at: datetime) -> None:
    _change(session, person_id, last_login_at=at)


def change_person(session: Session, person: Person) -> None:
    """Write role, suspension and cut-off of the person of this id; who is suspended has no code."""
    ended = {"code_digest": None, "code_pepper_version": None, "code_expires_at": None} if person.suspended_at else {}
    kept = {"role": person.role.value, "suspended_at": person.suspended_at, "tokens_from": person.tokens_from}
    _change(session, person.id, **kept, **ended)


def remove_person(session: Session, person_id: str) -> None:
    session.execute(delete(PersonTable).where(col(PersonTable.id) == person_id))


def other_operators(session: Session, person_id: str) -> Sequence[Person]:
    """Operators besides this one."""
    return [person for person in list_people(session, role=Role.OPERATOR) if person.id != person_id]


_SHOWN = sqlalchemy_select(PersonTable, col(TenantTable.name)).join(TenantTable, col(TenantTable.id) == col(PersonTable.tenant_id))


def _change(session: Session, person_id: str, **values: Any) -> None:
    session.execute(update(PersonTable).where(col(PersonTable.id) == person_id).values(**values))


def _code_columns(code: StoredCode) -> dict[str, Any]:
    return {"code_digest": code.digest, "code_pepper_version": code.pepper_version, "code_expires_at": code.expires_at}


def _person(row: PersonTable, tenant: str) -> Person:
    return Person(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        tenant=tenant,
        created_at=row.created_at,
        suspended_at=row.suspended_at,
        password_set_at=row.password_set_at,
        last_login_at=row.last_login_at,
        code_expires_at=row.code_expires_at,
        tokens_from=row.tokens_from,
    )
