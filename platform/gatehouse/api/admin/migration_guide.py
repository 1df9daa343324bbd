"""`/admin/migration/{model}/{old}/{new}/guide`: how partners move, before anything is deprecated, as the command line says it."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from gatehouse.api.account_usage import refused
from gatehouse.api.admin.changing import AdminReader, said_by_admin
from gatehouse.api.admin.migration import New, Old
from gatehouse.api.admin.parts import AdminParts
from gatehouse.api.admin.tenant_bodies import ModelPath
from gatehouse.api.guide_bodies import GuideBody
from gatehouse.api.key_bodies import Closed
from gatehouse.api.migration_guide import CONTENT, Format, answer, format_of
from gatehouse.api.openapi_problems import problem_ref
from gatehouse.api.probing import get_and_head
from gatehouse.api.strict_router import strict_router
from gatehouse.errors import NotFound, Refused
from gatehouse.operating.migration_guide import NotPublished, migration_guide


class GuideQuery(Closed):
    """How it is written."""

    format: Annotated[Format | None, Query(description="json, markdown or html; by Accept unless given")] = None


def admin_guide_router(parts: AdminParts) -> APIRouter:
    """The guide of any two published API versions of a model."""
    router = strict_router(prefix="/admin/migration", tags=["admin: migration"])

    @get_and_head(
        router,
        "/{model}/{old}/{new}/guide",
        summary="How partners move from one API version to a later one",
        operation_id="admin_show_migration_guide",
        response_model=None,
        responses={200: {"model": GuideBody, "content": CONTENT}, **{status: problem_ref(status) for status in (404, 406, 409)}},
    )
    @parts.limited
    def show(
        request: Request, principal: AdminReader, model: ModelPath, old: Old, new: New, query: Annotated[GuideQuery, Query()]
    ) -> Response:
        format = format_of(request, query.format)
        with said_by_admin(), parts.database.read() as session:
            try:
                guide = migration_guide(session, parts.settings, model, old, new, parts.now())
            except NotPublished:
                raise NotFound(reason="not_published") from None
            except Refused as refusal:
                if refusal.member:
                    raise refused(refusal.member, refusal.fact) from None
                raise
        return answer(guide, format)

    return router
