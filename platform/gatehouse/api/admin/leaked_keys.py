"""`/admin/keys/identify` and `/admin/keys/revoke-leaked`: whose a key is that somebody found, and an end to it."""

from fastapi import APIRouter, Request

from gatehouse.api.admin.changing import AdminWriter, changes, guarded_database, said_by_admin
from gatehouse.api.admin.key_bodies import AdminKeyEntry, FoundKey, IdentifiedKey, admin_entry
from gatehouse.api.admin.parts import AdminParts
from gatehouse.api.json_body import parsed
from gatehouse.api.keys import Body
from gatehouse.api.principal import actor_of
from gatehouse.api.strict_router import strict_router
from gatehouse.errors import about
from gatehouse.identity import leaks


def leaked_keys_router(parts: AdminParts) -> APIRouter:
    """Both take the whole key in the body, where no log writes it down, and prove it: anybody can make up one with a known id."""
    router = strict_router(prefix="/admin/keys", tags=["admin: keys"])
    takes = changes(body=FoundKey, matched=False)

    @router.post("/identify", summary="Whose a key is, and what it opens", operation_id="admin_identify_key", **takes)
    @parts.limited
    def identify_key(request: Request, principal: AdminWriter, body: Body) -> IdentifiedKey:
        asked = parsed(request, body, FoundKey)
        with said_by_admin(), about("key"):
            found = leaks.identify_key(parts.database, asked.key, parts.peppers)
        return IdentifiedKey(**admin_entry(found.key, parts.now()).model_dump(), secret=found.secret)

    @router.post("/revoke-leaked", summary="Revoke a leaked key, which is sent whole", operation_id="admin_revoke_leaked_key", **takes)
    @parts.limited
    def revoke_leaked_key(request: Request, principal: AdminWriter, body: Body) -> AdminKeyEntry:
        asked = parsed(request, body, FoundKey)
        database, actor = guarded_database(request, parts), actor_of(request, principal)
        with said_by_admin(), about("key"):
            revoked = leaks.revoke_leaked_key(database, actor, asked.key, parts.peppers)
        return admin_entry(revoked, parts.now())

    return router
