"""Pages and documents that are fixed or follow from the contracts: `/`, `/errors/{code}`, `/docs` and `/openapi.json`."""

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from gatehouse.api.docs import ASSET_PREFIX, DOCS_CSP, asset, docs_page
from gatehouse.api.pages import PAGE_CSP, error_pages, home_page
from gatehouse.api.principal import call_of
from gatehouse.api.probing import get_and_head
from gatehouse.api.strict_router import strict_router
from gatehouse.errors import NotFound
from gatehouse.principal import Principal

HTML = "text/html; charset=utf-8"


def pages_router(base_url: str, *, docs: bool, contact: str) -> APIRouter:
    """What never changes; `docs` tells whether there is a reference to link to, `contact` whom to ask."""
    router = strict_router(include_in_schema=False)
    home_html, errors = home_page(base_url, docs=docs, contact=contact), error_pages(contact)

    @get_and_head(router, "/", summary="What this server is and where to read on; a page")
    def home() -> Response:
        return Response(home_html, media_type=HTML, headers={"Content-Security-Policy": PAGE_CSP})

    @get_and_head(router, "/errors/{code}", summary="What an error code means and what to do; a page")
    def error(code: str) -> Response:
        page = errors.get(code)
        if page is None:
            raise NotFound()
        return Response(page, media_type=HTML, headers={"Content-Security-Policy": PAGE_CSP})

    return router


def docs_router(document: Callable[[Principal | None], Mapping[str, Any]]) -> APIRouter:
    """`document` gives the OpenAPI document as one caller may see it."""
    router = strict_router(include_in_schema=False)

    @get_and_head(router, "/docs", summary="The reference of the models that you may call; a page")
    def docs() -> Response:
        return Response(docs_page(), media_type=HTML, headers={"Content-Security-Policy": DOCS_CSP})

    @get_and_head(router, ASSET_PREFIX + "{name}", summary="A script or style of `/docs`")
    def docs_asset(name: str) -> Response:
        found = asset(name)
        if found is None:
            raise NotFound()
        return Response(found[0], media_type=found[1], headers={"Cache-Control": "public, max-age=3600"})

    @get_and_head(router, "/openapi.json", summary="The OpenAPI document of what you may call")
    def openapi(request: Request) -> JSONResponse:
        return JSONResponse(document(call_of(request).principal))

    return router
