"""`/admin/grants`: which models tenants may call."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from sqlmodel import Session

from gatehouse.api.admin.changing import AdminReader, AdminWriter, changes, guarded_database, said_by_admin
from gatehouse.api.admin.entity_tags import SHOWN_TAG, tagged
from gatehouse.api.admin.parts import AdminParts
from gatehouse.api.admin.tenant_bodies import (
    ALL,
    GrantEntry,
    GrantList,
    GrantQuery,
    ModelPath,
    NewGrant,
    TenantPath,
    VersionPath,
    grant_entry,
)
from gatehouse.api.admin.tenants import referred
from gatehouse.api.json_body import invalid, parsed
from gatehouse.api.keys import Body
from gatehouse.api.principal import actor_of
from gatehouse.api.probing import get_and_head
from gatehouse.api.strict_router import strict_router
from gatehouse.errors import NotFound
from gatehouse.identity import store, tenants
from gatehouse.identity.page_store import GrantFilter, page_of_grants, stored_version
from gatehouse.identity.store import Tenant
from gatehouse.migration.store import api_versions_by_model

LIST = "grants"
ONE = "/{tenant}/{model}/{api_version}"


def grants_router(parts: AdminParts) -> APIRouter:
    """List, add, show and remove grants."""
    router = strict_router(prefix="/admin/grants", tags=["admin: grants"])

    @get_and_head(router, "", summary="Grants, by tenant and model", operation_id="admin_list_grants")
    @parts.limited
    def list_grants(request: Request, principal: AdminReader, query: Annotated[GrantQuery, Query()]) -> GrantList:
        after = query.after(LIST, str, str, str)
        with parts.database.read() as session:
            found = page_of_grants(session, GrantFilter(**query.filters()), after, query.limit + 1)
        items, cursor = query.cut(LIST, found, lambda item: (item[1].tenant, item[1].model, stored_version(item[1])))
        return GrantList(items=[grant_entry(tenant_id, grant) for tenant_id, grant in items], next=cursor)

    @router.post(
        "",
        summary="Let a tenant call a model",
        operation_id="admin_add_grant",
        status_code=201,
        **changes(409, body=NewGrant, matched=False, before=GrantEntry),
    )
    @parts.limited
    def add_grant(request: Request, response: Response, principal: AdminWriter, body: Body) -> GrantEntry:
        asked = parsed(request, body, NewGrant)
        with parts.database.read() as session:
            tenant = named_in_body(session, asked.tenant)
        database, actor = guarded_database(request, parts), actor_of(request, principal)
        with said_by_admin():
            made = tenants.add_grant(database, actor, tenant.name, asked.model, api_versions_by_model, api_version=asked.api_version)
        # where it may call all API versions already, that is the grant which lets it call the one that was asked for
        grant = next(each for each in made.grants if each.model == asked.model and each.api_version in (None, asked.api_version))
        response.status_code = 201 if made.changed else 200
        response.headers["Location"] = f"/admin/grants/{tenant.id}/{grant.model}/{grant.api_version or ALL}"
        return tagged(response, grant_entry(tenant.id, grant))

    @get_and_head(router, ONE, summary="One grant", operation_id="admin_show_grant", responses={200: SHOWN_TAG})
    @parts.limited
    def show_grant(
        request: Request, response: Response, principal: AdminReader, tenant: TenantPath, model: ModelPath, api_version: VersionPath
    ) -> GrantEntry:
        with parts.database.read() as session:
            return tagged(response, shown(session, tenant, model, api_version))

    @router.delete(ONE, summary="Take a model from a tenant", operation_id="admin_remove_grant", status_code=204, **changes(409))
    @parts.limited
    def remove_grant(request: Request, principal: AdminWriter, tenant: TenantPath, model: ModelPath, api_version: VersionPath) -> None:
        with parts.database.read() as session:
            name = referred(session, tenant).name
        database = guarded_database(request, parts, lambda session: shown(session, name, model, api_version))
        one = None if api_version == ALL else api_version
        with said_by_admin():
            tenants.remove_grant(database, actor_of(request, principal), name, model, api_version=one)

    return router


def named_in_body(session: Session, reference: str) -> Tenant:
    """The tenant that a body names by id or name. Raises InvalidInput."""
    found = store.referred_tenant(session, reference)
    if found is None:
        raise invalid([{"pointer": "/tenant", "code": "refused", "detail": "there is no such tenant"}])
    return found


def shown(session: Session, reference: str, model: str, api_version: str) -> GrantEntry:
    """Raises NotFound."""
    tenant = referred(session, reference)
    one = None if api_version == ALL else api_version
    for grant in store.list_grants(session, tenant):
        if (grant.model, grant.api_version) == (model, one):
            return grant_entry(tenant.id, grant)
    raise NotFound(reason="no_such_grant")
