"""`/admin/notice-targets`: where each tenant is told by webhook."""

from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field
from sqlmodel import Session

from gatehouse.api.admin.changing import AdminReader, AdminWriter, changes, guarded_database, said_by_admin
from gatehouse.api.admin.entity_tags import SHOWN_TAG, tagged
from gatehouse.api.admin.grants import named_in_body
from gatehouse.api.admin.pages import PageQuery
from gatehouse.api.admin.parts import AdminParts
from gatehouse.api.admin.tenant_bodies import Reference, TenantPath
from gatehouse.api.admin.tenants import referred
from gatehouse.api.json_body import parsed
from gatehouse.api.key_bodies import Closed
from gatehouse.api.keys import Body
from gatehouse.api.principal import actor_of
from gatehouse.api.probing import get_and_head
from gatehouse.api.strict_router import strict_router
from gatehouse.errors import NotFound
from gatehouse.identity.sealing import Seal
from gatehouse.notices import targets
from gatehouse.notices.store import waiting_by_tenant
from gatehouse.notices.target_store import Target, find_target, list_targets
from gatehouse.notices.targets import DEFAULT_GRACE, LONGEST_GRACE

LIST = "notice targets"
PREFIX = "/admin/notice-targets"
Url = Annotated[str, Field(min_length=1, max_length=2000, description="An https:// URL that takes POST")]


class NewTarget(Closed):
    """Where a tenant is told."""

    tenant: Reference
    url: Url


class TargetEdit(Closed):
    """Another address, or the same again after it has answered 410; the secret stays."""

    url: Url


class SecretRotation(Closed):
    grace_s: Annotated[int, Field(ge=0, le=int(LONGEST_GRACE.total_seconds()))] = int(DEFAULT_GRACE.total_seconds())
    """Seconds for which the secret from before signs too."""


class TargetEntry(Closed):
    """A target without its secrets. `waiting`: notices that are not delivered yet."""

    passing: ClassVar[frozenset[str]] = frozenset({"state", "failing_since", "failing_reason", "waiting"})

    tenant: str
    tenant_id: str
    url: str
    state: Literal["works", "failing", "stopped"]
    failing_since: datetime | None
    failing_reason: str | None
    waiting: int
    created_at: datetime
    previous_until: datetime | None


class TargetWithSecret(TargetEntry):
    secret: Annotated[str, Field(description="What signs the notices. It is shown here and never again.")]


class TargetList(Closed):
    """By tenant."""

    items: list[TargetEntry]
    next: str | None


def notice_targets_router(parts: AdminParts) -> APIRouter:
    """List, make, show, change, rotate and remove targets."""
    router = strict_router(prefix=PREFIX, tags=["admin: notices"])
    seal, allowed = Seal(*parts.settings.secret_keys), parts.settings.target_networks

    @get_and_head(router, "", summary="Where tenants are told, by tenant", operation_id="admin_list_notice_targets")
    @parts.limited
    def list_all(request: Request, principal: AdminReader, query: Annotated[PageQuery, Query()]) -> TargetList:
        after = query.after(LIST, str)
        with parts.database.read() as session:
            found = sorted(list_targets(session), key=lambda target: target.tenant)
            waiting = waiting_by_tenant(session)
        items, cursor = query.cut(LIST, [each for each in found if after is None or each.tenant > after[0]], lambda each: (each.tenant,))
        return TargetList(items=[_entry(each, waiting[each.tenant_id]) for each in items], next=cursor)

    @router.post(
        "",
        summary="Tell a tenant by webhook, and show the secret that signs once",
        operation_id="admin_create_notice_target",
        status_code=201,
        **changes(409, body=NewTarget, matched=False),
    )
    @parts.limited
    def create(request: Request, response: Response, principal: AdminWriter, body: Body) -> TargetWithSecret:
        asked = parsed(request, body, NewTarget)
        with parts.database.read() as session:
            tenant = named_in_body(session, asked.tenant)
        with said_by_admin(), guarded_database(request, parts).write() as session:
            actor = actor_of(request, principal)
            made, secret = targets.create_target(session, actor, tenant.id, tenant.name, asked.url, allowed, seal)
            entry = tagged(response, _entry(made, waiting_by_tenant(session)[tenant.id]))
        response.headers["Location"] = f"{PREFIX}/{tenant.id}"
        return TargetWithSecret(**entry.model_dump(), secret=secret)

    @get_and_head(router, "/{tenant}", summary="One target", operation_id="admin_show_notice_target", responses={200: SHOWN_TAG})
    @parts.limited
    def show(request: Request, response: Response, principal: AdminReader, tenant: TenantPath) -> TargetEntry:
        with parts.database.read() as session:
            return tagged(response, shown(session, tenant))

    @router.patch("/{tenant}", summary="Change the address", operation_id="admin_edit_notice_target", **changes(404, body=TargetEdit))
    @parts.limited
    def edit(request: Request, response: Response, principal: AdminWriter, tenant: TenantPath, body: Body) -> TargetEntry:
        asked = parsed(request, body, TargetEdit)
        with said_by_admin(), guarded_database(request, parts, lambda session: shown(session, tenant)).write() as session:
            known = referred(session, tenant)
            targets.edit_target(session, actor_of(request, principal), known.id, known.name, asked.url, allowed)
            return tagged(response, shown(session, tenant))

    @router.post(
        "/{tenant}/rotate",
        summary="Make a new secret, which is shown once",
        operation_id="admin_rotate_notice_target",
        **changes(404, body=SecretRotation, optional=True),
    )
    @parts.limited
    def rotate(request: Request, response: Response, principal: AdminWriter, tenant: TenantPath, body: Body) -> TargetWithSecret:
        grace = timedelta(seconds=parsed(request, body, SecretRotation, optional=True).grace_s)
        with said_by_admin(), guarded_database(request, parts, lambda session: shown(session, tenant)).write() as session:
            known = referred(session, tenant)
            secret, _ = targets.rotate_secret(session, actor_of(request, principal), known.id, known.name, grace, seal)
            entry = tagged(response, shown(session, tenant))
        return TargetWithSecret(**entry.model_dump(), secret=secret)

    @router.delete(
        "/{tenant}", summary="Tell a tenant nothing more", operation_id="admin_remove_notice_target", status_code=204, **changes(404)
    )
    @parts.limited
    def remove(request: Request, principal: AdminWriter, tenant: TenantPath) -> None:
        with said_by_admin(), guarded_database(request, parts, lambda session: shown(session, tenant)).write() as session:
            known = referred(session, tenant)
            targets.remove_target(session, actor_of(request, principal), known.id, known.name)

    return router


def shown(session: Session, reference: str) -> TargetEntry:
    """Raises NotFound."""
    target = find_target(session, referred(session, reference).id)
    if target is None:
        raise NotFound(reason="no_such_target")
    return _entry(target, waiting_by_tenant(session)[target.tenant_id])


def _entry(target: Target, waiting: int) -> TargetEntry:
    return TargetEntry(
        tenant=target.tenant,
        tenant_id=target.tenant_id,
        url=target.url,
        state="stopped" if target.gone else "failing" if target.failing_since else "works",
        failing_since=target.failing_since,
        failing_reason=target.failing_reason,
        waiting=waiting,
        created_at=target.created_at,
        previous_until=target.previous_until,
    )
