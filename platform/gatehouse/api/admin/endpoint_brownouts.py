"""`/admin/endpoints/{model}/{api_version}/brownouts`: minutes in which a deprecated endpoint answers 410 for a trial."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from sqlmodel import Session

from gatehouse.api.admin.changing import AdminReader, AdminWriter, changes, guarded_database, said_by_admin
from gatehouse.api.admin.endpoint_bodies import NewBrownout, OneVersion, PlannedWindow, window_entry
from gatehouse.api.admin.endpoint_desk import Desks
from gatehouse.api.admin.endpoints import ONE, PREFIX
from gatehouse.api.admin.entity_tags import SHOWN_TAG, tagged
from gatehouse.api.admin.grants import named_in_body
from gatehouse.api.admin.parts import AdminParts
from gatehouse.api.admin.tenant_bodies import ModelPath
from gatehouse.api.json_body import parsed
from gatehouse.api.key_bodies import Closed
from gatehouse.api.keys import Body
from gatehouse.api.principal import actor_of
from gatehouse.api.probing import get_and_head
from gatehouse.api.strict_router import strict_router
from gatehouse.errors import NotFound
from gatehouse.identity.store import list_tenants
from gatehouse.migration.brownout_store import Planned
from gatehouse.migration.endpoint import Brownout
from gatehouse.migration.store import find_endpoint
from gatehouse.operating import brownouts
from gatehouse.operating.brownouts import BrownoutWish

BrownoutId = Annotated[str, Path(pattern="^brn_[0-9a-f]{16}$", description="The brownout's id")]
EACH = f"{ONE}/brownouts/{{brownout_id}}"


class BrownoutEntry(PlannedWindow):
    """Whom it is for: all tenants, one, or (a rehearsal of its lead) one key."""

    tenant: str | None
    rehearsed_by_key: str | None


class BrownoutList(Closed):
    """In order of their beginning; those that are not over, at most some hundred."""

    items: list[BrownoutEntry]


class PlannedBrownout(BrownoutEntry):
    """How many tenants are told of it on `/account`, and how many of them by webhook too."""

    told: int
    told_by_webhook: int


def endpoint_brownouts_router(parts: AdminParts, desks: Desks) -> APIRouter:
    """List, plan, show and take back brownouts."""
    router = strict_router(prefix=PREFIX, tags=["admin: endpoints"])

    @get_and_head(router, f"{ONE}/brownouts", summary="Brownouts that are not over", operation_id="admin_list_brownouts")
    @parts.limited
    def list_all(request: Request, principal: AdminReader, model: ModelPath, api_version: OneVersion) -> BrownoutList:
        with parts.database.read() as session:
            return BrownoutList(items=entries(session, model, api_version))

    @router.post(
        f"{ONE}/brownouts",
        summary="Plan a brownout, of which tenants are told now",
        operation_id="admin_plan_brownout",
        status_code=201,
        **changes(404, 409, body=NewBrownout, matched=False),
    )
    @parts.limited
    def plan(
        request: Request, response: Response, principal: AdminWriter, model: ModelPath, api_version: OneVersion, body: Body
    ) -> PlannedBrownout:
        asked = parsed(request, body, NewBrownout)
        with parts.database.read() as session:
            desks.shown(session, model, api_version)
            tenant = named_in_body(session, asked.tenant).name if asked.tenant else None
        wish = BrownoutWish(asked.starts_at, asked.minutes, asked.share, tenant)
        desk = desks.of(guarded_database(request, parts), actor_of(request, principal))
        with said_by_admin():
            planned = brownouts.plan(desk, model, api_version, wish, force=asked.force)
        response.headers["Location"] = f"{PREFIX}/{model}/{api_version}/brownouts/{planned.window.id}"
        names = {} if planned.window.tenant_id is None or tenant is None else {planned.window.tenant_id: tenant}
        tagged(response, entry(planned.window, names))
        return told(planned, names)

    @get_and_head(router, EACH, summary="One brownout", operation_id="admin_show_brownout", responses={200: SHOWN_TAG})
    @parts.limited
    def show(
        request: Request, response: Response, principal: AdminReader, model: ModelPath, api_version: OneVersion, brownout_id: BrownoutId
    ) -> BrownoutEntry:
        with parts.database.read() as session:
            return tagged(response, shown(session, model, api_version, brownout_id))

    @router.delete(EACH, summary="Take a brownout back, or end it now", operation_id="admin_cancel_brownout", **changes(404, 409))
    @parts.limited
    def cancel(
        request: Request, principal: AdminWriter, model: ModelPath, api_version: OneVersion, brownout_id: BrownoutId
    ) -> PlannedBrownout:
        database = guarded_database(request, parts, lambda session: shown(session, model, api_version, brownout_id))
        with said_by_admin():
            taken = brownouts.cancel(desks.of(database, actor_of(request, principal)), brownout_id)
        with parts.database.read() as session:
            return told(taken, tenant_names(session))

    def shown(session: Session, model: str, api_version: str, brownout_id: str) -> BrownoutEntry:
        for each in entries(session, model, api_version):
            if each.id == brownout_id:
                return each
        raise NotFound(reason="no_such_brownout")

    return router


def entries(session: Session, model: str, api_version: str) -> list[BrownoutEntry]:
    """Those of one endpoint. Raises NotFound."""
    endpoint = find_endpoint(session, model, api_version)
    if endpoint is None:
        raise NotFound(reason="no_such_endpoint")
    names = tenant_names(session) if endpoint.brownouts else {}
    return [entry(each, names) for each in endpoint.brownouts]


def tenant_names(session: Session) -> dict[str, str]:
    """By id."""
    return {tenant.id: tenant.name for tenant in list_tenants(session)}


def entry(window: Brownout, names: Mapping[str, str]) -> BrownoutEntry:
    """A window by the list of fields."""
    tenant = names.get(window.tenant_id) if window.tenant_id else None
    return BrownoutEntry(**window_entry(window).model_dump(), tenant=tenant, rehearsed_by_key=window.key_id)


def told(planned: Planned, names: Mapping[str, str]) -> PlannedBrownout:
    """The window with whom was told."""
    shown = entry(planned.window, names).model_dump()
    return PlannedBrownout(**shown, told=planned.told.tenants, told_by_webhook=planned.told.by_webhook)
