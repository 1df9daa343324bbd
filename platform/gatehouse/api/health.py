"""Health: for load balancers a word, for operators the reasons."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import Field

from gatehouse.api.key_bodies import Closed
from gatehouse.api.openapi_problems import problem_ref
from gatehouse.api.principal import call_of
from gatehouse.api.probing import get_and_head
from gatehouse.api.strict_router import strict_router
from gatehouse.principal import Scope


class Alive(Closed):
    """The process answers."""

    status: Literal["ok"]


class Ready(Closed):
    """Whether it can serve all of its endpoints, or all but some."""

    status: Literal["ready", "degraded"]
    failures: dict[str, str] = Field({}, description="With admin:read alone: each endpoint that is not served, and why")


class Draining(Closed):
    """It is about to end."""

    status: Literal["draining"]


def health_router(failures: Callable[[], Mapping[str, str]], draining: Callable[[], bool]) -> APIRouter:
    """`failures` names the endpoints that are not served, and why; `draining` says that the process is about to end."""
    router = strict_router(tags=["health"])

    @get_and_head(router, "/health", summary="Is the process alive", operation_id="health")
    @get_and_head(router, "/health/live", summary="Is the process alive", operation_id="health_live")
    def live() -> Alive:
        return Alive(status="ok")

    @get_and_head(
        router,
        "/health/ready",
        summary="Can it serve; with admin:read also what it cannot",
        operation_id="health_ready",
        responses={200: {"model": Ready}, 401: problem_ref(401), 429: problem_ref(429), 503: {"model": Draining}},
    )
    def ready(request: Request) -> JSONResponse:
        if draining():
            return JSONResponse({"status": "draining"}, 503, {"retry-after": "1"})
        failed = dict(failures())
        content: dict[str, Any] = {"status": "degraded" if failed else "ready"}
        principal = call_of(request).principal
        if principal is not None and Scope.ADMIN_READ in principal.scopes:
            content["failures"] = failed
        return JSONResponse(content)

    return router
