"""Families as Prometheus reads them: text format, by prometheus-client."""

from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from gatehouse.metrics.family import PREFIX, Family, Values

CONTENT_TYPE = CONTENT_TYPE_LATEST


def exposition(families: Sequence[Family]) -> bytes:
    """The text, in the order of the names."""
    registry = CollectorRegistry()  # the global one would tell of the platform as well
    registry.register(_Families(families))
    return generate_latest(registry)


class _Families(Collector):
    def __init__(self, families: Sequence[Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """Each family in prometheus-client's own words."""
        for family in sorted(self._families, key=lambda each: each.name):
            yield _metric(family)


def _metric(family: Family) -> Metric:
    name, labels = PREFIX + family.name, list(family.labels)
    if family.kind == "histogram":
        histogram = HistogramMetricFamily(name, family.meaning, labels=labels)
        for of, values in family.samples.items():
            histogram.add_metric(of, _buckets(family.buckets, values), values[-1])
        return histogram
    metric = (CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily)(name, family.meaning, labels=labels)
    for of, values in family.samples.items():
        metric.add_metric(of, values[0])
    return metric


def _buckets(bounds: Values, values: Values) -> list[tuple[str, float]]:
    """Upper bound and count up to it."""
    names = [*map(floatToGoString, bounds), "+Inf"]
    return list(zip(names, accumulate(values[:-1]), strict=True))
