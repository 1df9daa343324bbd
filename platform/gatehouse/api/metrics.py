"""`GET /metrics`: what the processes of this server count and measure, in Prometheus's text format."""

from collections.abc import Callable

from fastapi import APIRouter, Depends, Request, Response

from gatehouse.api.principal import Needs
from gatehouse.api.probing import get_and_head
from gatehouse.api.strict_router import strict_router
from gatehouse.api.throttle import Throttle, by_key
from gatehouse.metrics.exposition import CONTENT_TYPE
from gatehouse.principal import Scope

SCRAPES_A_MINUTE = 120
"""Of one key; a scraper that comes every 5 s needs 12."""


def metrics_router(exposition: Callable[[], bytes], throttle: Throttle) -> APIRouter:
    """All metrics at once, of all endpoints: the scope is the operator's."""
    router = strict_router(tags=["operations"])

    @get_and_head(
        router,
        "/metrics",
        summary="Metrics of the server that answers, over all its processes, as Prometheus reads them",
        operation_id="show_metrics",
        response_class=Response,
        responses={200: {"description": "Text", "content": {"text/plain": {"schema": {"type": "string"}}}}},
        dependencies=[Depends(Needs(Scope.METRICS_READ))],
    )
    @throttle.limit(f"{SCRAPES_A_MINUTE}/minute", key_func=by_key)
    def show_metrics(request: Request) -> Response:
        return Response(exposition(), media_type=CONTENT_TYPE)

    return router
