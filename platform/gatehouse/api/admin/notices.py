"""`/admin/notices`: what partners were told by webhook, and what waits."""

import json
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import Field
from sqlmodel import Session

from gatehouse.api.admin.changing import AdminReader, AdminWriter, changes, guarded_database, said_by_admin
from gatehouse.api.admin.pages import PageQuery, moment_step, step_moment
from gatehouse.api.admin.parts import AdminParts
from gatehouse.api.admin.tenant_bodies import Reference
from gatehouse.api.admin.tenant_filter import tenant_id_of
from gatehouse.api.key_bodies import Closed
from gatehouse.api.principal import actor_of
from gatehouse.api.probing import get_and_head
from gatehouse.api.strict_router import strict_router
from gatehouse.errors import NotFound
from gatehouse.notices.history import replay
from gatehouse.notices.store import Notice, State, find_notice, list_notices

LIST = "notices"
NoticeId = Annotated[str, Path(pattern="^ntc_[0-9a-f]{8,64}$", description="The notice's id")]


class NoticeQuery(PageQuery):
    """Whose."""

    tenant: Annotated[Reference | None, Field(description="Of one tenant alone, by id or name")] = None


class NoticeEntry(Closed):
    """A notice, and how it is with it."""

    id: str
    tenant: str
    kind: str
    event: str
    threshold: str
    state: State
    attempts: int
    last_outcome: str | None
    created_at: datetime
    last_attempt_at: datetime | None
    due_at: datetime | None
    delivered_at: datetime | None


class NoticeWithBody(NoticeEntry):
    """With what the partner is sent."""

    body: dict[str, Any]


class NoticeList(Closed):
    """The newest first."""

    items: list[NoticeEntry]
    next: str | None


def notices_router(parts: AdminParts) -> APIRouter:
    """List and show notices, and send one again."""
    router = strict_router(prefix="/admin/notices", tags=["admin: notices"])

    @get_and_head(router, "", summary="Notices, the newest first", operation_id="admin_list_notices")
    @parts.limited
    def list_all(request: Request, principal: AdminReader, query: Annotated[NoticeQuery, Query()]) -> NoticeList:
        after = query.after(LIST, step_moment, str)
        with parts.database.read() as session:
            found = list_notices(session, tenant_id_of(session, query.tenant), query.limit + 1, (after[0], after[1]) if after else None)
        items, cursor = query.cut(LIST, found, lambda notice: (moment_step(notice.created_at), notice.id))
        return NoticeList(items=[NoticeEntry(**_members(notice)) for notice in items], next=cursor)

    @get_and_head(router, "/{notice_id}", summary="One notice with its body", operation_id="admin_show_notice")
    @parts.limited
    def show(request: Request, principal: AdminReader, notice_id: NoticeId) -> NoticeWithBody:
        with parts.database.read() as session:
            notice = known(session, notice_id)
        return NoticeWithBody(**_members(notice), body=json.loads(notice.body))

    @router.post(
        "/{notice_id}/replay",
        summary="Send a notice again, with the same id and body",
        operation_id="admin_replay_notice",
        **changes(404, 409, matched=False),
    )
    @parts.limited
    def send_again(request: Request, principal: AdminWriter, notice_id: NoticeId) -> NoticeEntry:
        with parts.database.read() as session:
            known(session, notice_id)
        with said_by_admin(), guarded_database(request, parts).write() as session:
            return NoticeEntry(**_members(replay(session, actor_of(request, principal), notice_id)))

    return router


def known(session: Session, notice_id: str) -> Notice:
    """Raises NotFound."""
    notice = find_notice(session, notice_id)
    if notice is None:
        raise NotFound(reason="no_such_notice")
    return notice


def _members(notice: Notice) -> dict[str, Any]:
    return {name: getattr(notice, name) for name in NoticeEntry.model_fields}
