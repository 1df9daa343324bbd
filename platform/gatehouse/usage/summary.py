"""Usage events added up by hour."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from gatehouse.usage.event import UsageEvent

HOUR_US = 3_600_000_000


class SummaryKey(NamedTuple):
    """What one row of the hourly summary stands for; '' where an event has no model."""

    tenant_id: str
    hour: int
    """Hours since 1970 (UTC)."""
    key_id: str
    model: str
    api_version: str
    status: int


@dataclass(slots=True)
class Sums:
    calls: int = 0
    rows: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    latency_us: int = 0

    def add(self, event: UsageEvent) -> None:
        """Count one event."""
        self.calls += 1
        self.rows += event.rows
        self.bytes_in += event.bytes_in
        self.bytes_out += event.bytes_out
        self.latency_us += event.latency_us


def summary_key(event: UsageEvent) -> SummaryKey:
    """The row of the hourly summary that an event belongs to."""
    return SummaryKey(event.tenant_id, event.at_us // HOUR_US, event.key_id, event.model or "", event.api_version or "", event.status)


def summarise(events: Iterable[UsageEvent]) -> list[tuple[SummaryKey, Sums]]:
    """Sums by hour, in the order of their keys: whoever writes them in this order never waits in a circle."""
    sums: dict[SummaryKey, Sums] = {}
    for event in events:
        sums.setdefault(summary_key(event), Sums()).add(event)
    return sorted(sums.items(), key=lambda entry: entry[0])
