"""`/admin/tenants`: customer organisations."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from sqlmodel import Session

from gatehouse.api.admin.changing import AdminReader, AdminWriter, changes, check_not_empty, guarded_database, said_by_admin
from gatehouse.api.admin.entity_tags import SHOWN_TAG, tagged
from gatehouse.api.admin.parts import AdminParts
from gatehouse.api.admin.tenant_bodies import NewTenant, TenantEdit, TenantEntry, TenantList, TenantPath, TenantQuery, tenant_entry
from gatehouse.api.json_body import parsed
from gatehouse.api.keys import Body
from gatehouse.api.principal import actor_of
from gatehouse.api.probing import get_and_head
from gatehouse.api.strict_router import strict_router
from gatehouse.db.audit import Actor
from gatehouse.db.session import Database
from gatehouse.errors import NotFound
from gatehouse.identity import store, tenants
from gatehouse.identity.page_store import TenantFilter, grants_of_tenants, page_of_tenants
from gatehouse.identity.store import Tenant
from gatehouse.migration.store import api_versions_by_model
from gatehouse.principal import Principal

LIST = "tenants"
Step = Callable[[Database, Actor, str], Tenant]


def tenants_router(parts: AdminParts) -> APIRouter:
    """List, make, show, change, suspend and resume tenants."""
    router = strict_router(prefix="/admin/tenants", tags=["admin: tenants"])

    @get_and_head(router, "", summary="Tenants, by name", operation_id="admin_list_tenants")
    @parts.limited
    def list_tenants(request: Request, principal: AdminReader, query: Annotated[TenantQuery, Query()]) -> TenantList:
        after, narrowed = query.after(LIST, str), TenantFilter(**query.filters())
        with parts.database.read() as session:
            found = page_of_tenants(session, narrowed, after[0] if after else None, query.limit + 1)
            items, cursor = query.cut(LIST, found, lambda tenant: (tenant.name,))
            grants = grants_of_tenants(session, items)
        return TenantList(items=[tenant_entry(tenant, grants[tenant.id]) for tenant in items], next=cursor)

    @router.post(
        "", summary="Make a tenant", operation_id="admin_create_tenant", status_code=201, **changes(409, body=NewTenant, matched=False)
    )
    @parts.limited
    def create_tenant(request: Request, response: Response, principal: AdminWriter, body: Body) -> TenantEntry:
        asked = parsed(request, body, NewTenant)
        database, actor = guarded_database(request, parts), actor_of(request, principal)
        with said_by_admin():
            made = tenants.create_tenant(database, actor, asked.name, api_versions_by_model, plan=asked.plan, models=asked.models)
        response.headers["Location"] = f"/admin/tenants/{made.tenant.id}"
        return tagged(response, tenant_entry(made.tenant, made.grants))

    @get_and_head(router, "/{tenant}", summary="One tenant", operation_id="admin_show_tenant", responses={200: SHOWN_TAG})
    @parts.limited
    def show_tenant(request: Request, response: Response, principal: AdminReader, tenant: TenantPath) -> TenantEntry:
        with parts.database.read() as session:
            return tagged(response, shown(session, tenant))

    @router.patch("/{tenant}", summary="Change a tenant", operation_id="admin_edit_tenant", **changes(409, body=TenantEdit, stays=True))
    @parts.limited
    def edit_tenant(request: Request, response: Response, principal: AdminWriter, tenant: TenantPath, body: Body) -> TenantEntry:
        asked = parsed(request, body, TenantEdit)
        check_not_empty(asked)

        def edit(database: Database, actor: Actor, name: str) -> Tenant:
            return tenants.edit_tenant(database, actor, name, plan=asked.plan, default_model=asked.default_model)

        return stepped(request, response, principal, tenant, edit)

    @router.post("/{tenant}/suspend", summary="Refuse a tenant's keys and tokens", operation_id="admin_suspend_tenant", **changes(409))
    @parts.limited
    def suspend_tenant(request: Request, response: Response, principal: AdminWriter, tenant: TenantPath) -> TenantEntry:
        return stepped(request, response, principal, tenant, tenants.suspend_tenant)

    @router.post("/{tenant}/resume", summary="Let a tenant's keys work again", operation_id="admin_resume_tenant", **changes(409))
    @parts.limited
    def resume_tenant(request: Request, response: Response, principal: AdminWriter, tenant: TenantPath) -> TenantEntry:
        return stepped(request, response, principal, tenant, tenants.resume_tenant)

    def stepped(request: Request, response: Response, principal: Principal, tenant: str, step: Step) -> TenantEntry:
        with parts.database.read() as session:
            name = referred(session, tenant).name
        with said_by_admin():
            changed = step(guarded_database(request, parts, lambda session: shown(session, name)), actor_of(request, principal), name)
        with parts.database.read() as session:
            return tagged(response, tenant_entry(changed, store.list_grants(session, changed)))

    return router


def referred(session: Session, reference: str) -> Tenant:
    """By id or name. Raises NotFound."""
    found = store.referred_tenant(session, reference)
    if found is None:
        raise NotFound(reason="no_such_tenant")
    return found


def shown(session: Session, reference: str) -> TenantEntry:
    """Raises NotFound."""
    tenant = referred(session, reference)
    return tenant_entry(tenant, store.list_grants(session, tenant))
