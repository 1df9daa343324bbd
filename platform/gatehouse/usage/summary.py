"""Usage events added up by hour and by day."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gatehouse.usage.event import UsageEvent

HOUR_US = 3_600_000_000
HOURS_A_DAY = 24

SUMS = ("calls", "rows", "bytes_in", "bytes_out", "latency_us")
"""What is added up, in the order in which it stands in `SummaryRow`s after the key."""


class SummaryKey(NamedTuple):
    """What one row of a summary stands for; '' where an event has no model."""

    tenant_id: str
    span: int
    """Hours, or days, since 1970 (UTC)."""
    key_id: str
    model: str
    api_version: str
    status: int


Sums = tuple[int, int, int, int, int]
Summary = list[tuple[SummaryKey, Sums]]
"""In the order of their keys: whoever writes them in this order never waits in a circle."""


def summarise(events: Iterable[UsageEvent]) -> Summary:
    """Sums by hour."""
    sums: dict[tuple[str, int, str, str | None, str | None, int], list[int]] = {}
    for event in events:
        key = (event.tenant_id, event.at_us // HOUR_US, event.key_id, event.model, event.api_version, event.status)
        total = sums.get(key)
        if total is None:
            sums[key] = [1, event.rows, event.bytes_in, event.bytes_out, event.latency_us]
        else:
            total[0] += 1
            total[1] += event.rows
            total[2] += event.bytes_in
            total[3] += event.bytes_out
            total[4] += event.latency_us
    named = [
        (SummaryKey(tenant, hour, key, model or "", version or "", status), (calls, rows, bytes_in, bytes_out, latency))
        for (tenant, hour, key, model, version, status), (calls, rows, bytes_in, bytes_out, latency) in sums.items()
    ]
    return sorted(named)


def by_day(hours: Summary) -> Summary:
    """Sums by day from those by hour."""
    days: dict[SummaryKey, Sums] = {}
    for key, sums in hours:
        tenant, hour, key_id, model, version, status = key
        day = SummaryKey(tenant, hour // HOURS_A_DAY, key_id, model, version, status)
        days[day] = plus(days[day], sums) if day in days else sums
    return sorted(days.items())


def by_tenant_and_day(days: Summary) -> list[tuple[tuple[str, int], Sums]]:
    """Sums of a tenant's whole days from those by day."""
    totals: dict[tuple[str, int], Sums] = {}
    for key, sums in days:
        whole = (key.tenant_id, key.span)
        totals[whole] = plus(totals[whole], sums) if whole in totals else sums
    return sorted(totals.items())


def plus(one: Sequence[int], other: Sequence[int]) -> Sums:
    """Both, added up."""
    calls, rows, bytes_in, bytes_out, latency_us = (a + b for a, b in zip(one, other, strict=True))
    return calls, rows, bytes_in, bytes_out, latency_us
