"""`/admin/keys`: the API keys of all tenants."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from sqlmodel import Session

from gatehouse.api.admin.changing import AdminReader, AdminWriter, changes, guarded_database, said_by_admin
from gatehouse.api.admin.entity_tags import SHOWN_TAG, tagged
from gatehouse.api.admin.grants import named_in_body
from gatehouse.api.admin.key_bodies import AdminKeyEntry, AdminKeyList, AdminNewKey, AdminShownKey, KeyQuery, admin_entry
from gatehouse.api.admin.key_changes import shown, shown_once
from gatehouse.api.admin.key_wishes import check_no_wider, wish_of, wished_key
from gatehouse.api.admin.pages import moment_step, step_moment
from gatehouse.api.admin.parts import AdminParts
from gatehouse.api.json_body import parsed
from gatehouse.api.keys import Body, KeyId, said_by_http
from gatehouse.api.principal import actor_of
from gatehouse.api.probing import get_and_head
from gatehouse.api.strict_router import strict_router
from gatehouse.identity import keys
from gatehouse.identity.page_store import KeyFilter, page_of_keys
from gatehouse.principal import OPERATOR_TENANT, Principal

LIST = "keys"


def admin_keys_router(parts: AdminParts) -> APIRouter:
    """List, make and show keys."""
    router = strict_router(prefix="/admin/keys", tags=["admin: keys"])

    @get_and_head(router, "", summary="Keys, the newest first, without their secrets", operation_id="admin_list_keys")
    @parts.limited
    def list_keys(request: Request, principal: AdminReader, query: Annotated[KeyQuery, Query()]) -> AdminKeyList:
        after = query.after(LIST, step_moment, str)
        narrowed = KeyFilter(**{name: getattr(query, name) for name in query.filters()})
        with parts.database.read() as session:
            found = page_of_keys(session, narrowed, after, query.limit + 1)
        items, cursor = query.cut(LIST, found, lambda key: (moment_step(key.created_at), key.id))
        now = parts.now()
        return AdminKeyList(items=[admin_entry(key, now) for key in items], next=cursor)

    @router.post(
        "",
        summary="Make a key, which is shown once",
        operation_id="admin_create_key",
        status_code=201,
        **changes(409, body=AdminNewKey, matched=False),
    )
    @parts.limited
    def create_key(request: Request, response: Response, principal: AdminWriter, body: Body) -> AdminShownKey:
        asked = parsed(request, body, AdminNewKey)
        wish, tenant = wish_of(asked), tenant_of(asked)

        def may(session: Session, caller: Principal) -> None:
            check_no_wider(session, caller, wished_key(tenant, wish, parts.now()))

        database, actor = guarded_database(request, parts, may=may), actor_of(request, principal)
        with said_by_admin(), said_by_http():
            made = keys.create_key(database, actor, tenant, parts.peppers.current, wish)
        response.headers["Location"] = f"/admin/keys/{made.key.id}"
        return shown_once(response, made, parts.now())

    def tenant_of(asked: AdminNewKey) -> str:
        if asked.tenant == OPERATOR_TENANT:  # which may not be there before its first key
            return asked.tenant
        with parts.database.read() as session:
            return named_in_body(session, asked.tenant).name

    @get_and_head(router, "/{key_id}", summary="One key, without its secret", operation_id="admin_show_key", responses={200: SHOWN_TAG})
    @parts.limited
    def show_key(request: Request, response: Response, principal: AdminReader, key_id: KeyId) -> AdminKeyEntry:
        with parts.database.read() as session:
            return tagged(response, shown(session, key_id, parts.now()))

    return router
