"""`/admin/status`: who serves, which versions, and what was answered in the last five minutes."""

from datetime import datetime
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import Field

from gatehouse.api.admin.changing import AdminReader
from gatehouse.api.admin.endpoint_bodies import ShadowEntry
from gatehouse.api.admin.parts import AdminParts
from gatehouse.api.key_bodies import Closed
from gatehouse.api.probing import get_and_head
from gatehouse.api.strict_router import strict_router
from gatehouse.migration.endpoint import EndpointState


class ProcessStatus(Closed):
    """A serving process. `not_served`: why what endpoints were released to is not loaded there."""

    id: str
    host: str
    pid: int
    state: Literal["serving", "draining", "gone"]
    started_at: datetime
    last_seen_at: datetime
    revision_seen: int
    changes_behind: int
    seconds_behind: float
    usage_backlog_bytes: int
    usage_lost: int
    no_room: str | None
    not_served: dict[str, str]


class ServedShadow(ShadowEntry):
    """The same, by the name that commands give it."""

    version: str = Field(validation_alias="with")


class ServedEndpoint(Closed):
    """Its calls of the last minutes: answered, refused (4xx) and failed (5xx)."""

    endpoint: str
    state: EndpointState
    version: str | None
    bridged_to: str | None
    canary_version: str | None
    canary_percent: int | None
    shadow: ServedShadow | None
    calls: int
    rows: int
    answered: int
    refused: int
    failed: int


class Outcome(Closed):
    """Calls with one status and code; `model` is null for those that reached none."""

    model: str | None
    api_version: str | None
    status: int
    code: str | None
    calls: int
    rows: int


class RecentCalls(Closed):
    """Of the last `seconds`."""

    seconds: int
    outcomes: list[Outcome]


class UsageStatus(Closed):
    """`ended_spools_here`: processes of this machine that ended before their usage was in the database."""

    backlog_bytes: int
    ended_spools_here: list[str]


class StatusBody(Closed):
    """`healthy` is false where `gatehouse status` would name something that is wrong."""

    healthy: bool
    revision: int
    processes: list[ProcessStatus]
    endpoints: list[ServedEndpoint]
    calls: RecentCalls
    usage: UsageStatus


def status_router(parts: AdminParts) -> APIRouter:
    """How the deployment is."""
    router = strict_router(prefix="/admin/status", tags=["admin: status"])

    @get_and_head(router, "", summary="Who serves, which versions, and what was answered lately", operation_id="admin_show_status")
    @parts.limited
    def show(request: Request, principal: AdminReader) -> StatusBody:
        return StatusBody.model_validate(parts.status())

    return router
