"""The guide to a newer API version, as a page, as Markdown and as JSON; with the caller's own calls, never another tenant's."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from gatehouse.api.documents import HTML
from gatehouse.api.guide_bodies import GuideBody
from gatehouse.api.guide_page import guide_page
from gatehouse.api.models import ApiVersion, Caller, ModelName
from gatehouse.api.negotiation import accepted
from gatehouse.api.openapi_problems import problem_ref
from gatehouse.api.pages import PAGE_CSP
from gatehouse.api.paths import API_VERSION, GUIDE_PATH
from gatehouse.api.probing import get_and_head
from gatehouse.api.strict_router import strict_router
from gatehouse.api.throttle import Throttle, by_key
from gatehouse.api.upgrades import Upgrades
from gatehouse.migration.guide import Guide, guide_of, life_of
from gatehouse.migration.guide_document import Document
from gatehouse.migration.guide_markdown import markdown
from gatehouse.migration.guide_text import guide_document, title_of
from gatehouse.principal import Principal, Scope

Format: TypeAlias = Literal["json", "markdown", "html"]
MEDIA_TYPES: dict[str, Format] = {"application/json": "json", "text/html": "html", "text/markdown": "markdown"}
"""In the order of what is answered where a caller takes anything."""
MARKDOWN = "text/markdown; charset=utf-8"
OldVersion = Annotated[str, Path(pattern=f"^{API_VERSION}$", description="The API version that you call now")]
OwnCalls = Callable[[Principal, str, str, str], dict[str, Any]]
"""Of a caller the calls to a model's API version."""
CONTENT: dict[str, Any] = {
    "text/html": {"schema": {"type": "string"}},
    "text/markdown": {"schema": {"type": "string"}},
}


def format_of(
    request: Request, format: Annotated[Format | None, Query(description="Instead of an Accept header: json, markdown or html")] = None
) -> Format:
    """How to answer. Raises NotAcceptable."""
    return format or MEDIA_TYPES[accepted(request.headers.getlist("accept"), list(MEDIA_TYPES))]


def guide_router(
    upgrades: Upgrades, own_calls: OwnCalls, base_url: str, now: Callable[[], datetime], throttle: Throttle, per_minute: int
) -> APIRouter:
    """`GET /v{n}/models/{model}/migrate-from/{older}`; `own_calls` asks the database."""
    router = strict_router(tags=["models"])

    @get_and_head(
        router,
        GUIDE_PATH,
        summary="How to move from an older API version to this one",
        operation_id="show_migration_guide",
        response_model=None,
        responses={200: {"model": GuideBody, "content": CONTENT}, 406: problem_ref(406)},
    )
    @throttle.limit(f"{per_minute}/minute", key_func=by_key)
    def show_migration_guide(
        request: Request,
        api_version: ApiVersion,
        model: ModelName,
        older: OldVersion,
        principal: Caller,
        format: Annotated[Format, Depends(format_of)],
    ) -> Response:
        endpoint, pair = upgrades.find(principal, model, older, api_version)
        calls = own_calls(principal, model, older, api_version) if Scope.USAGE_READ in principal.scopes else None
        return answer(guide_of(pair.facts, base_url, life_of(endpoint, now(), principal.tenant_id), calls), format)

    return router


def answer(guide: Guide, format: Format) -> Response:
    """A guide in one of its formats."""
    return answer_as(format, guide, title_of(guide), lambda: guide_document(guide))


def answer_as(format: Format, facts: Mapping[str, Any], title: str, document: Callable[[], Document]) -> Response:
    """What is data, a page and Markdown."""
    vary = {"Vary": "Accept"}
    if format == "json":
        return JSONResponse(facts, headers=vary)
    if format == "markdown":
        return Response(markdown(document()), media_type=MARKDOWN, headers=vary)
    return Response(guide_page(title, document()), media_type=HTML, headers=vary | {"Content-Security-Policy": PAGE_CSP})
