"""Changes of `/account/people`: passwords and suspensions. An ETag that is sent as If-Match is compared; none is demanded."""

from fastapi import APIRouter, Request, Response

from gatehouse.api.account_people import TenantAdmin, guarded
from gatehouse.api.admin.changing import changes, said_by_admin
from gatehouse.api.admin.entity_tags import if_match, tagged
from gatehouse.api.admin.parts import AdminParts
from gatehouse.api.person_bodies import InvitedEntry, PersonEntry, PersonPath, invited_entry, person_entry
from gatehouse.api.principal import actor_of
from gatehouse.api.strict_router import strict_router
from gatehouse.identity import people

MATCHING = if_match(demanded=False)
CHANGES = {"openapi_extra": MATCHING["openapi_extra"], "responses": changes(409, matched=False)["responses"] | MATCHING["responses"]}


def account_people_changes_router(parts: AdminParts) -> APIRouter:
    """Reset, suspend, resume and remove people."""
    router = strict_router(prefix="/account/people", tags=["people"])

    @router.post("/{person}/reset", summary="A code that sets another password; your own too", operation_id="reset_person", **CHANGES)
    @parts.limited
    def reset(request: Request, response: Response, principal: TenantAdmin, person: PersonPath) -> InvitedEntry:
        database, actor = guarded(parts, request, person), actor_of(request, principal)
        with said_by_admin():
            made = people.reset_password(database, actor, person, parts.peppers.current, of=principal.tenant)
        return tagged(response, invited_entry(made))

    @router.post("/{person}/suspend", summary="Refuse a person's logins and tokens", operation_id="suspend_person", **CHANGES)
    @parts.limited
    def suspend(request: Request, response: Response, principal: TenantAdmin, person: PersonPath) -> PersonEntry:
        database, actor = guarded(parts, request, person), actor_of(request, principal)
        with said_by_admin():
            found = people.suspend_person(database, actor, person, of=principal.tenant, by=principal.person_id)
        return tagged(response, person_entry(found))

    @router.post("/{person}/resume", summary="Let a person log in again", operation_id="resume_person", **CHANGES)
    @parts.limited
    def resume(request: Request, response: Response, principal: TenantAdmin, person: PersonPath) -> PersonEntry:
        with said_by_admin():
            found = people.resume_person(guarded(parts, request, person), actor_of(request, principal), person, of=principal.tenant)
        return tagged(response, person_entry(found))

    @router.delete("/{person}", summary="Take a person out for good", operation_id="remove_person", status_code=204, **CHANGES)
    @parts.limited
    def remove(request: Request, principal: TenantAdmin, person: PersonPath) -> None:
        database, actor = guarded(parts, request, person), actor_of(request, principal)
        with said_by_admin():
            people.remove_person(database, actor, person, of=principal.tenant, by=principal.person_id)

    return router
