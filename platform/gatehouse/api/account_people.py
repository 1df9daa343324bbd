"""`/account/people`: the people of a tenant, by one of its admins. Another tenant's are not there."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlmodel import Session

from gatehouse.api.admin.changing import changes, proven_again, said_by_admin
from gatehouse.api.admin.entity_tags import SHOWN_TAG, check_match, tag_of, tagged
from gatehouse.api.admin.pages import PageQuery
from gatehouse.api.admin.parts import AdminParts
from gatehouse.api.json_body import parsed
from gatehouse.api.key_bodies import Closed
from gatehouse.api.keys import Body
from gatehouse.api.person_bodies import InvitedEntry, PersonEntry, PersonList, PersonName, PersonPath, invited_entry, person_entry
from gatehouse.api.principal import Needs, actor_of
from gatehouse.api.probing import get_and_head
from gatehouse.api.strict_router import strict_router
from gatehouse.db.session import Database
from gatehouse.errors import LoginNeeded, NotFound, ScopeMissing
from gatehouse.identity import people, person_store
from gatehouse.identity.person_store import Person, PersonFilter
from gatehouse.principal import Principal, Role, Scope

LIST = "account people"
ELSEWHERE = "Here a tenant's admin looks after its people. Those of the deployment itself are under /admin/people."


class NewColleague(Closed):
    """A further admin of the tenant."""

    name: PersonName


def tenant_admin(caller: Annotated[Principal, Depends(Needs(Scope.KEYS_MANAGE))]) -> Principal:
    """The caller, who is an admin of a tenant. Raises LoginNeeded, ScopeMissing."""
    if not caller.person_id:
        raise LoginNeeded()
    if caller.role is not Role.TENANT_ADMIN:
        raise ScopeMissing(ELSEWHERE)
    return caller


TenantAdmin = Annotated[Principal, Depends(tenant_admin)]


def account_people_router(parts: AdminParts) -> APIRouter:
    """List, invite and show."""
    router = strict_router(prefix="/account/people", tags=["people"])

    @get_and_head(router, "", summary="The people of your tenant, by name", operation_id="list_people")
    @parts.limited
    def list_people(request: Request, principal: TenantAdmin, query: Annotated[PageQuery, Query()]) -> PersonList:
        after = query.after(LIST, str)
        with parts.database.read() as session:
            own = PersonFilter(tenant=principal.tenant_id)
            found = person_store.page_of_people(session, own, after[0] if after else "", query.limit + 1)
        items, cursor = query.cut(LIST, found, lambda person: (person.name,))
        return PersonList(items=[person_entry(person) for person in items], next=cursor)

    @router.post(
        "",
        summary="Invite an admin of your tenant",
        operation_id="invite_person",
        status_code=201,
        **changes(409, body=NewColleague, matched=False),
    )
    @parts.limited
    def invite(request: Request, response: Response, principal: TenantAdmin, body: Body) -> InvitedEntry:
        asked = parsed(request, body, NewColleague)
        database, actor = guarded(parts, request), actor_of(request, principal)
        with said_by_admin():
            made = people.invite_person(database, actor, asked.name, Role.TENANT_ADMIN, parts.peppers.current, principal.tenant)
        response.headers["Location"] = f"/account/people/{made.person.id}"
        return tagged(response, invited_entry(made))

    @get_and_head(router, "/{person}", summary="One person of your tenant", operation_id="show_person", responses={200: SHOWN_TAG})
    @parts.limited
    def show_person(request: Request, response: Response, principal: TenantAdmin, person: PersonPath) -> PersonEntry:
        with parts.database.read() as session:
            return tagged(response, person_entry(own_person(session, person, principal)))

    return router


def guarded(parts: AdminParts, request: Request, person: str | None = None) -> Database:
    """The database for one change by the caller, who must still be an admin of the tenant when it is made.

    Writes raise NotFound, and PreconditionFailed where If-Match is sent.
    """

    def check(session: Session) -> None:
        caller = tenant_admin(proven_again(request, parts.prover, session, Scope.KEYS_MANAGE))
        if person is not None:
            check_match(request, tag_of(person_entry(own_person(session, person, caller))), demanded=False)

    return parts.database.guarded(check)


def own_person(session: Session, reference: str, caller: Principal) -> Person:
    """By id or name. Raises NotFound, also for one of another tenant."""
    found = person_store.show_person(session, reference)
    if found is None or found.tenant != caller.tenant:
        raise NotFound(reason="no_such_person")
    return found
