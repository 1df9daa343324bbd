"""`/admin/endpoints/{model}/{api_version}/deprecate` and what follows: how an endpoint ends."""

from fastapi import APIRouter, Request, Response

from gatehouse.api.admin.changing import AdminWriter, changes, said_by_admin
from gatehouse.api.admin.endpoint_bodies import Deprecation, EndpointEntry, Forced, NewExtension, OneVersion, endpoint_entry
from gatehouse.api.admin.endpoint_desk import Desks
from gatehouse.api.admin.endpoints import ONE, PREFIX
from gatehouse.api.admin.entity_tags import tagged
from gatehouse.api.admin.grants import named_in_body
from gatehouse.api.admin.parts import AdminParts
from gatehouse.api.admin.tenant_bodies import ModelPath, TenantPath
from gatehouse.api.admin.tenants import referred
from gatehouse.api.json_body import parsed
from gatehouse.api.keys import Body
from gatehouse.api.strict_router import strict_router
from gatehouse.errors import NotFound
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.transitions import Announcement
from gatehouse.operating import life


def endpoint_life_router(parts: AdminParts, desks: Desks) -> APIRouter:
    """Deprecate, extend for a tenant, retire, and back."""
    router = strict_router(prefix=PREFIX, tags=["admin: endpoints"])

    @router.post(
        f"{ONE}/deprecate", summary="Announce the end, or move it", operation_id="admin_deprecate", **changes(404, 409, body=Deprecation)
    )
    @parts.limited
    def deprecate(
        request: Request, response: Response, principal: AdminWriter, model: ModelPath, api_version: OneVersion, body: Body
    ) -> EndpointEntry:
        asked = parsed(request, body, Deprecation)
        said = Announcement(asked.sunset, asked.successor, asked.reason, asked.link)
        with said_by_admin():
            return answered(response, life.deprecate(desks.desk(request, principal, model, api_version), model, api_version, said))

    @router.post(
        f"{ONE}/undeprecate", summary="Take a deprecation or a retirement back", operation_id="admin_undeprecate", **changes(404, 409)
    )
    @parts.limited
    def undeprecate(
        request: Request, response: Response, principal: AdminWriter, model: ModelPath, api_version: OneVersion
    ) -> EndpointEntry:
        with said_by_admin():
            return answered(response, life.undeprecate(desks.desk(request, principal, model, api_version), model, api_version))

    @router.post(
        f"{ONE}/retire",
        summary="End it now; unless forced, only where nobody has called it for 7 days",
        operation_id="admin_retire",
        **changes(404, 409, body=Forced, optional=True),
    )
    @parts.limited
    def retire(
        request: Request, response: Response, principal: AdminWriter, model: ModelPath, api_version: OneVersion, body: Body
    ) -> EndpointEntry:
        asked = parsed(request, body, Forced, optional=True)
        with said_by_admin():
            desk = desks.desk(request, principal, model, api_version)
            return answered(response, life.retire(desk, model, api_version, force=asked.force))

    @router.post(
        f"{ONE}/extensions",
        summary="Let one tenant call past the sunset",
        operation_id="admin_extend",
        **changes(404, 409, body=NewExtension),
    )
    @parts.limited
    def extend(
        request: Request, response: Response, principal: AdminWriter, model: ModelPath, api_version: OneVersion, body: Body
    ) -> EndpointEntry:
        asked = parsed(request, body, NewExtension)
        with said_by_admin():
            desk = desks.desk(request, principal, model, api_version)
            with parts.database.read() as session:
                tenant = named_in_body(session, asked.tenant).name
            return answered(response, life.extend(desk, model, api_version, tenant, asked.until))

    @router.delete(
        f"{ONE}/extensions/{{tenant}}",
        summary="Let an endpoint end for a tenant as for all others",
        operation_id="admin_unextend",
        **changes(404, 409),
    )
    @parts.limited
    def unextend(
        request: Request, response: Response, principal: AdminWriter, model: ModelPath, api_version: OneVersion, tenant: TenantPath
    ) -> EndpointEntry:
        with said_by_admin():
            desk = desks.desk(request, principal, model, api_version)
            with parts.database.read() as session:
                known, shown = referred(session, tenant), desks.shown(session, model, api_version)
            if known.id not in [each.tenant_id for each in shown.extensions]:
                raise NotFound(reason="no_such_extension")
            return answered(response, life.unextend(desk, model, api_version, known.name))

    def answered(response: Response, endpoint: Endpoint) -> EndpointEntry:
        return tagged(response, endpoint_entry(endpoint, parts.now()))

    return router
