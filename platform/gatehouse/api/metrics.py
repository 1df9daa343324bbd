"""`GET /metrics`: what this process can say of itself, in Prometheus's text format."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gatehouse.api.principal import needs
from gatehouse.api.throttle import Throttle, by_key
from gatehouse.principal import Scope

PREFIX = "gatehouse_"


@dataclass(frozen=True, slots=True)
class Reading:
    """One metric: how it is named and explained, and what reads it when it is asked for."""

    name: str
    meaning: str
    read: Callable[[], float]
    counts: bool = False
    """Whether it only ever grows; its name then ends in `_total`."""


class Readings(Collector):
    """Reads when it is asked, so that nothing is kept twice."""

    def __init__(self, readings: Sequence[Reading]) -> None:
        self._readings = readings

    def collect(self) -> Iterator[Metric]:
        """One metric for each reading."""
        for reading in self._readings:
            family = CounterMetricFamily if reading.counts else GaugeMetricFamily
            yield family(PREFIX + reading.name, reading.meaning, value=reading.read())


def metrics_router(readings: Sequence[Reading], throttle: Throttle, per_minute: int) -> APIRouter:
    """All readings at once, for whoever has the scope; each process answers for itself."""
    registry = CollectorRegistry()  # the global one would tell of the platform as well
    registry.register(Readings(readings))
    router = APIRouter(tags=["operations"])

    @router.get(
        "/metrics",
        summary="Metrics of the process that answers, as Prometheus reads them",
        operation_id="show_metrics",
        response_class=Response,
        responses={200: {"description": "Text", "content": {"text/plain": {"schema": {"type": "string"}}}}},
        dependencies=[Depends(needs(Scope.METRICS_READ))],
    )
    @throttle.limit(f"{per_minute}/minute", key_func=by_key)
    def show_metrics(request: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router
