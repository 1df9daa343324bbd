"""`/admin/endpoints`: what serves each model + API version."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from gatehouse.api.admin.changing import AdminReader, AdminWriter, changes, said_by_admin
from gatehouse.api.admin.endpoint_bodies import (
    EndpointEntry,
    EndpointList,
    EndpointQuery,
    Forced,
    OneVersion,
    Release,
    endpoint_entry,
)
from gatehouse.api.admin.endpoint_desk import Desks
from gatehouse.api.admin.entity_tags import SHOWN_TAG, tagged
from gatehouse.api.admin.parts import AdminParts
from gatehouse.api.admin.tenant_bodies import ModelPath
from gatehouse.api.json_body import parsed
from gatehouse.api.keys import Body
from gatehouse.api.probing import get_and_head
from gatehouse.api.strict_router import strict_router
from gatehouse.errors import NotFound, NotKnown
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.store import find_endpoint, list_endpoints
from gatehouse.operating import life, releasing

LIST = "endpoints"
PREFIX = "/admin/endpoints"
ONE = "/{model}/{api_version}"


def endpoints_router(parts: AdminParts, desks: Desks) -> APIRouter:
    """List and show endpoints; release, promote, roll back, and end a preview."""
    router = strict_router(prefix=PREFIX, tags=["admin: endpoints"])

    @get_and_head(router, "", summary="Endpoints, by model and API version", operation_id="admin_list_endpoints")
    @parts.limited
    def list_all(request: Request, principal: AdminReader, query: Annotated[EndpointQuery, Query()]) -> EndpointList:
        now, after = parts.now(), query.after(LIST, str, int)
        with parts.database.read() as session:
            found = [each for each in list_endpoints(session) if _wanted(each, query, now) and (after is None or _place(each) > after)]
        items, cursor = query.cut(LIST, found, lambda each: (each.model, each.api_version[1:]))
        return EndpointList(items=[endpoint_entry(each, now) for each in items], next=cursor)

    @get_and_head(router, ONE, summary="One endpoint", operation_id="admin_show_endpoint", responses={200: SHOWN_TAG})
    @parts.limited
    def show(request: Request, response: Response, principal: AdminReader, model: ModelPath, api_version: OneVersion) -> EndpointEntry:
        with parts.database.read() as session:
            return tagged(response, desks.shown(session, model, api_version))

    @router.post(
        f"{ONE}/release",
        summary="Let a published model version serve, or a share of the keys; the first of a major opens its endpoint",
        operation_id="admin_release",
        **changes(404, 409, body=Release, before=EndpointEntry),
        status_code=201,
    )
    @parts.limited
    def release(
        request: Request, response: Response, principal: AdminWriter, model: ModelPath, api_version: OneVersion, body: Body
    ) -> EndpointEntry:
        asked = parsed(request, body, Release)
        with parts.database.read() as session:
            known = find_endpoint(session, model, api_version) is not None
        with said_by_admin(), desks.proving() as pause:
            open_desk = desks.desk if known else desks.opening_desk
            desk = open_desk(request, principal, model, api_version, pause)
            try:
                endpoint = releasing.release(desk, model, api_version, asked.version, asked.canary, force=asked.force)
            except NotKnown as refusal:
                if refusal.member:
                    raise
                raise NotFound(reason="no_such_endpoint") from None
        response.status_code = 200 if known else 201
        response.headers["Location"] = f"{PREFIX}/{model}/{api_version}"
        return answered(response, endpoint)

    @router.post(f"{ONE}/promote", summary="Let the canary serve everybody", operation_id="admin_promote", **changes(404, 409))
    @parts.limited
    def promote(request: Request, response: Response, principal: AdminWriter, model: ModelPath, api_version: OneVersion) -> EndpointEntry:
        with said_by_admin(), desks.proving() as pause:
            desk = desks.desk(request, principal, model, api_version, pause)
            return answered(response, releasing.promote(desk, model, api_version))

    @router.post(
        f"{ONE}/rollback",
        summary="End the canary, or go back to the version before",
        operation_id="admin_rollback",
        **changes(404, 409, body=Forced, optional=True),
    )
    @parts.limited
    def rollback(
        request: Request, response: Response, principal: AdminWriter, model: ModelPath, api_version: OneVersion, body: Body
    ) -> EndpointEntry:
        asked = parsed(request, body, Forced, optional=True)
        with said_by_admin(), desks.proving() as pause:
            desk = desks.desk(request, principal, model, api_version, pause)
            return answered(response, releasing.rollback(desk, model, api_version, force=asked.force))

    @router.post(f"{ONE}/activate", summary="End a preview", operation_id="admin_activate", **changes(404, 409))
    @parts.limited
    def activate(request: Request, response: Response, principal: AdminWriter, model: ModelPath, api_version: OneVersion) -> EndpointEntry:
        with said_by_admin():
            return answered(response, life.activate(desks.desk(request, principal, model, api_version), model, api_version))

    def answered(response: Response, endpoint: Endpoint) -> EndpointEntry:
        return tagged(response, endpoint_entry(endpoint, parts.now()))

    return router


def _wanted(endpoint: Endpoint, query: EndpointQuery, now: datetime) -> bool:
    return query.model in (None, endpoint.model) and query.state in (None, endpoint.state_at(now))


def _place(endpoint: Endpoint) -> tuple[str, int]:
    return endpoint.model, int(endpoint.api_version[1:])
