"""`/admin/people`: operators, auditors, and the admins of all tenants."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from sqlmodel import Session

from gatehouse.api.admin.changing import AdminReader, AdminWriter, changes, guarded_database, said_by_admin
from gatehouse.api.admin.entity_tags import SHOWN_TAG, tagged
from gatehouse.api.admin.grants import named_in_body
from gatehouse.api.admin.key_wishes import check_no_wider, wished_key
from gatehouse.api.admin.pages import PageQuery
from gatehouse.api.admin.parts import AdminParts
from gatehouse.api.admin.tenant_bodies import Reference
from gatehouse.api.json_body import parsed
from gatehouse.api.key_bodies import Closed
from gatehouse.api.keys import Body
from gatehouse.api.person_bodies import InvitedEntry, PersonEntry, PersonList, PersonName, PersonPath, invited_entry, person_entry
from gatehouse.api.principal import actor_of
from gatehouse.api.probing import get_and_head
from gatehouse.api.strict_router import strict_router
from gatehouse.errors import NotFound
from gatehouse.identity import people, person_store
from gatehouse.identity.key_wishes import KeyWish
from gatehouse.identity.person_store import Person, PersonFilter
from gatehouse.principal import OPERATOR_TENANT, ROLE_SCOPES, Principal, Role

LIST = "people"
May = Callable[[Session, Principal], None]


class PeopleQuery(PageQuery):
    """Which people."""

    tenant: Reference | None = None
    role: Role | None = None
    suspended: bool | None = None


class NewPerson(Closed):
    """A person to be made. A tenant admin needs a tenant; operators and auditors are the deployment's own."""

    name: PersonName
    role: Role
    tenant: Reference | None = None


def admin_people_router(parts: AdminParts) -> APIRouter:
    """List, invite and show people."""
    router = strict_router(prefix="/admin/people", tags=["admin: people"])

    @get_and_head(router, "", summary="People, by name", operation_id="admin_list_people")
    @parts.limited
    def list_people(request: Request, principal: AdminReader, query: Annotated[PeopleQuery, Query()]) -> PersonList:
        after, narrowed = query.after(LIST, str), PersonFilter(**query.filters())
        with parts.database.read() as session:
            found = person_store.page_of_people(session, narrowed, after[0] if after else "", query.limit + 1)
        items, cursor = query.cut(LIST, found, lambda person: (person.name,))
        return PersonList(items=[person_entry(person) for person in items], next=cursor)

    @router.post(
        "", summary="Invite a person", operation_id="admin_invite_person", status_code=201, **changes(409, body=NewPerson, matched=False)
    )
    @parts.limited
    def invite(request: Request, response: Response, principal: AdminWriter, body: Body) -> InvitedEntry:
        asked = parsed(request, body, NewPerson)
        with parts.database.read() as session:
            tenant = None if asked.tenant in (None, OPERATOR_TENANT) else named_in_body(session, asked.tenant).name
        database, actor = guarded_database(request, parts, may=gives(parts, asked.role)), actor_of(request, principal)
        with said_by_admin():
            made = people.invite_person(database, actor, asked.name, asked.role, parts.peppers.current, tenant)
        response.headers["Location"] = f"/admin/people/{made.person.id}"
        return tagged(response, invited_entry(made))

    @get_and_head(router, "/{person}", summary="One person", operation_id="admin_show_person", responses={200: SHOWN_TAG})
    @parts.limited
    def show_person(request: Request, response: Response, principal: AdminReader, person: PersonPath) -> PersonEntry:
        with parts.database.read() as session:
            return tagged(response, person_entry(referred(session, person)))

    return router


def gives(parts: AdminParts, role: Role) -> May:
    """Nobody becomes more, by a login of their own making, than they are."""

    def may(session: Session, caller: Principal) -> None:
        home = "" if role is Role.TENANT_ADMIN else OPERATOR_TENANT
        check_no_wider(session, caller, wished_key(home, KeyWish(scopes=ROLE_SCOPES[role]), parts.now()))

    return may


def referred(session: Session, reference: str) -> Person:
    """By id or name. Raises NotFound."""
    found = person_store.show_person(session, reference)
    if found is None:
        raise NotFound(reason="no_such_person")
    return found
