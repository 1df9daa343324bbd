"""Changes of `/admin/people`: roles, passwords, suspensions."""

from fastapi import APIRouter, Request, Response
from sqlmodel import Session

from gatehouse.api.admin.changing import AdminWriter, changes, guarded_database, said_by_admin
from gatehouse.api.admin.entity_tags import tagged
from gatehouse.api.admin.parts import AdminParts
from gatehouse.api.admin.people import May, gives, referred
from gatehouse.api.json_body import parsed
from gatehouse.api.key_bodies import Closed
from gatehouse.api.keys import Body
from gatehouse.api.person_bodies import InvitedEntry, PersonEntry, PersonPath, invited_entry, person_entry
from gatehouse.api.principal import actor_of
from gatehouse.api.strict_router import strict_router
from gatehouse.db.session import Database
from gatehouse.identity import people
from gatehouse.principal import Principal, Role


class PersonEdit(Closed):
    """What to change."""

    role: Role


def people_changes_router(parts: AdminParts) -> APIRouter:
    """Change the role of people, reset, suspend, resume and remove them."""
    router = strict_router(prefix="/admin/people", tags=["admin: people"])

    @router.patch("/{person}", summary="Change a person's role", operation_id="admin_edit_person", **changes(409, body=PersonEdit))
    @parts.limited
    def edit_person(request: Request, response: Response, principal: AdminWriter, person: PersonPath, body: Body) -> PersonEntry:
        role = parsed(request, body, PersonEdit).role
        database, actor = seen(request, person, gives(parts, role)), actor_of(request, principal)
        with said_by_admin():
            changed = people.edit_person(database, actor, person, role, by=principal.person_id)
        return tagged(response, person_entry(changed))

    @router.post("/{person}/reset", summary="A code that sets another password", operation_id="admin_reset_person", **changes(409))
    @parts.limited
    def reset(request: Request, response: Response, principal: AdminWriter, person: PersonPath) -> InvitedEntry:
        def may(session: Session, caller: Principal) -> None:
            gives(parts, referred(session, person).role)(session, caller)

        with said_by_admin():
            made = people.reset_password(seen(request, person, may), actor_of(request, principal), person, parts.peppers.current)
        return tagged(response, invited_entry(made))

    @router.post("/{person}/suspend", summary="Refuse a person's logins and tokens", operation_id="admin_suspend_person", **changes(409))
    @parts.limited
    def suspend(request: Request, response: Response, principal: AdminWriter, person: PersonPath) -> PersonEntry:
        with said_by_admin():
            changed = people.suspend_person(seen(request, person), actor_of(request, principal), person, by=principal.person_id)
        return tagged(response, person_entry(changed))

    @router.post("/{person}/resume", summary="Let a person log in again", operation_id="admin_resume_person", **changes(409))
    @parts.limited
    def resume(request: Request, response: Response, principal: AdminWriter, person: PersonPath) -> PersonEntry:
        with said_by_admin():
            changed = people.resume_person(seen(request, person), actor_of(request, principal), person)
        return tagged(response, person_entry(changed))

    @router.delete("/{person}", summary="Take a person out for good", operation_id="admin_remove_person", status_code=204, **changes(409))
    @parts.limited
    def remove(request: Request, principal: AdminWriter, person: PersonPath) -> None:
        with said_by_admin():
            people.remove_person(seen(request, person), actor_of(request, principal), person, by=principal.person_id)

    def seen(request: Request, person: str, may: May | None = None) -> Database:
        return guarded_database(request, parts, lambda session: person_entry(referred(session, person)), may)

    return router
