"""`/admin/endpoints/{model}/{api_version}/shadow`, `unshadow` and `shadows`: another version scores the calls too, and what came of it."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from gatehouse.api.admin.changing import AdminReader, AdminWriter, changes, said_by_admin
from gatehouse.api.admin.endpoint_bodies import EndpointEntry, NewShadow, OneVersion, endpoint_entry
from gatehouse.api.admin.endpoint_desk import Desks
from gatehouse.api.admin.endpoints import ONE, PREFIX
from gatehouse.api.admin.entity_tags import tagged
from gatehouse.api.admin.parts import AdminParts
from gatehouse.api.admin.tenant_bodies import ModelPath, Reference
from gatehouse.api.admin.tenant_filter import tenant_id_of
from gatehouse.api.json_body import parsed
from gatehouse.api.key_bodies import Closed
from gatehouse.api.keys import Body
from gatehouse.api.probing import get_and_head
from gatehouse.api.strict_router import strict_router
from gatehouse.operating import shadowing
from gatehouse.operating.shadow_report import shadow_report, shadow_rows


class UpgradeFailure(Closed):
    """Rows that the rules could not upgrade, by field of the older contract and code of the error."""

    field: str
    code: str
    rows: int


class ShadowFiguresEntry(Closed):
    """What shadows of one tenant's calls came to. Shifts are of the other confidence, or value, less the live one."""

    calls: int
    dropped: int
    failed: int
    rows: int
    not_upgraded: int
    compared: int
    disagreed: int
    disagreement: float | None
    shift_mean: float | None
    shift_quantiles: dict[str, float]


class ShadowRow(ShadowFiguresEntry):
    """Of one other version and one tenant."""

    other_version: str
    tenant: str
    upgrade_failures: list[UpgradeFailure]


class ShadowReport(Closed):
    """By other version and tenant, over so many days and today."""

    model: str
    api_version: str
    since: date
    days: int
    shadows: list[ShadowRow]


class ShadowsQuery(Closed):
    """Whose."""

    tenant: Annotated[Reference | None, Query(description="Of one tenant alone, by id or name")] = None


def endpoint_shadows_router(parts: AdminParts, desks: Desks) -> APIRouter:
    """Begin, end and read shadows."""
    router = strict_router(prefix=PREFIX, tags=["admin: endpoints"])

    @router.post(
        f"{ONE}/shadow",
        summary="Let another version score the calls too, once they are answered",
        operation_id="admin_shadow",
        **changes(404, 409, body=NewShadow),
    )
    @parts.limited
    def shadow(
        request: Request, response: Response, principal: AdminWriter, model: ModelPath, api_version: OneVersion, body: Body
    ) -> EndpointEntry:
        asked = parsed(request, body, NewShadow)
        with said_by_admin(), desks.proving() as pause:
            desk = desks.desk(request, principal, model, api_version, pause)
            endpoint, _ = shadowing.begin_shadow(desk, model, api_version, asked.version, asked.share)
        return tagged(response, endpoint_entry(endpoint, parts.now()))

    @router.post(f"{ONE}/unshadow", summary="End the shadow; what it came to is kept", operation_id="admin_unshadow", **changes(404, 409))
    @parts.limited
    def unshadow(request: Request, response: Response, principal: AdminWriter, model: ModelPath, api_version: OneVersion) -> EndpointEntry:
        with said_by_admin():
            endpoint = shadowing.end_shadow(desks.desk(request, principal, model, api_version), model, api_version)
        return tagged(response, endpoint_entry(endpoint, parts.now()))

    @get_and_head(
        router,
        f"{ONE}/shadows",
        summary="What shadows came to in the last 30 days, also those that have ended",
        operation_id="admin_show_shadows",
    )
    @parts.limited
    def shadows(
        request: Request, principal: AdminReader, model: ModelPath, api_version: OneVersion, query: Annotated[ShadowsQuery, Query()]
    ) -> ShadowReport:
        with parts.database.read() as session:
            desks.shown(session, model, api_version)
            tenant_id = tenant_id_of(session, query.tenant)
            now, rows = parts.now(), shadow_rows(session, model, api_version, parts.now(), tenant_id)
        return ShadowReport.model_validate(shadow_report(model, api_version, now, rows))

    return router
