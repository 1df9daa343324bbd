"""`/admin/keys/{key_id}`: a key is changed, gets a new secret, and ends."""

from datetime import datetime, timedelta

from fastapi import APIRouter, Request, Response
from sqlmodel import Session

from gatehouse.api.admin.changing import AdminWriter, changes, guarded_database, said_by_admin
from gatehouse.api.admin.entity_tags import tagged
from gatehouse.api.admin.key_bodies import AdminKeyEntry, AdminShownKey, admin_entry
from gatehouse.api.admin.key_wishes import check_no_wider
from gatehouse.api.admin.parts import AdminParts
from gatehouse.api.json_body import parsed
from gatehouse.api.key_bodies import KeyEdit, Rotation
from gatehouse.api.keys import Body, KeyId, edited, said_by_http
from gatehouse.api.principal import actor_of
from gatehouse.api.strict_router import strict_router
from gatehouse.errors import NotFound
from gatehouse.identity import key_store, keys
from gatehouse.identity.key_store import ApiKey
from gatehouse.identity.keys import CreatedKey
from gatehouse.principal import Principal


def key_changes_router(parts: AdminParts) -> APIRouter:
    """Change, rotate and revoke keys."""
    router = strict_router(prefix="/admin/keys", tags=["admin: keys"])

    @router.patch(
        "/{key_id}", summary="Change a key; its secret stays", operation_id="admin_edit_key", **changes(409, body=KeyEdit, stays=True)
    )
    @parts.limited
    def edit_key(request: Request, response: Response, principal: AdminWriter, key_id: KeyId, body: Body) -> AdminKeyEntry:
        change = edited(parsed(request, body, KeyEdit))

        def may(session: Session, caller: Principal) -> None:
            before = found(session, key_id)
            check_no_wider(session, caller, before)
            check_no_wider(session, caller, change(before))

        database = guarded_database(request, parts, lambda session: shown(session, key_id, parts.now()), may)
        with said_by_admin(), said_by_http():
            return tagged(response, admin_entry(keys.edit_key(database, actor_of(request, principal), key_id, change), parts.now()))

    @router.post(
        "/{key_id}/rotate",
        summary="Give a key a new secret, which is shown once",
        operation_id="admin_rotate_key",
        **changes(409, body=Rotation, optional=True),
    )
    @parts.limited
    def rotate_key(request: Request, response: Response, principal: AdminWriter, key_id: KeyId, body: Body) -> AdminShownKey:
        grace = timedelta(seconds=parsed(request, body, Rotation, optional=True).grace_s)

        def may(session: Session, caller: Principal) -> None:
            check_no_wider(session, caller, found(session, key_id))

        database = guarded_database(request, parts, lambda session: shown(session, key_id, parts.now()), may)
        with said_by_admin(), said_by_http():
            made = keys.rotate_key(database, actor_of(request, principal), key_id, parts.peppers.current, grace)
        return shown_once(response, made, parts.now())

    @router.delete("/{key_id}", summary="Revoke a key for good", operation_id="admin_revoke_key", **changes())
    @parts.limited
    def revoke_key(request: Request, response: Response, principal: AdminWriter, key_id: KeyId) -> AdminKeyEntry:
        database = guarded_database(request, parts, lambda session: shown(session, key_id, parts.now()))
        with said_by_http():
            return tagged(response, admin_entry(keys.revoke_key(database, actor_of(request, principal), key_id), parts.now()))

    return router


def shown(session: Session, key_id: str, now: datetime) -> AdminKeyEntry:
    """Raises NotFound."""
    return admin_entry(found(session, key_id), now)


def shown_once(response: Response, made: CreatedKey, now: datetime) -> AdminShownKey:
    """A key with its text."""
    return tagged(response, AdminShownKey(**admin_entry(made.key, now).model_dump(), key=made.text))


def found(session: Session, key_id: str) -> ApiKey:
    """Raises NotFound."""
    key = key_store.show_key(session, key_id)
    if key is None:
        raise NotFound(reason="no_such_key")
    return key
