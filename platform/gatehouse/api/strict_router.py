"""The routers of which the app is made: each of their routes refuses what it does not declare."""

from collections.abc import Sequence
from enum import Enum

from fastapi import APIRouter, Depends, FastAPI

from gatehouse.api.undeclared import refuse_undeclared


def strict_router(*, prefix: str = "", tags: Sequence[str | Enum] = (), include_in_schema: bool = True) -> APIRouter:
    """A router whose routes are whole as they are made; add_routes puts them into an app."""
    return APIRouter(prefix=prefix, tags=list(tags), include_in_schema=include_in_schema, dependencies=[Depends(refuse_undeclared)])


def add_routes(app: FastAPI, router: APIRouter) -> None:
    """Without FastAPI's include_router, which would make each route a second time, to add nothing: half of a server's start."""
    app.router.routes.extend(router.routes)
