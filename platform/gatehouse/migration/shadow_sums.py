"""What shadows came to, summed in memory by tenant, endpoint, other version and day until the database takes it."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple


class ShadowDay(NamedTuple):
    """What sums are kept by."""

    tenant_id: str
    model: str
    api_version: str
    """Of the endpoint that was called."""
    other_version: str
    """Model version that was to score the calls too."""
    day: int
    """Days since 1970 (UTC)."""


class UpgradeFailure(NamedTuple):
    """Why a row has no counterpart under the newer contract."""

    field: str
    """Of the older contract; several with a comma between, where a rule reads several."""
    code: str


@dataclass(slots=True)
class ShadowSums:
    """Counts of calls and rows; each member is a sum, so that two can be added."""

    calls: int = 0
    dropped: int = 0
    failed: int = 0
    rows: int = 0
    not_upgraded: int = 0
    disagreed: int = 0
    shift_sum: float = 0.0
    shifts: Counter[int] = field(default_factory=Counter)
    """Compared rows by bucket of the shift (see shift_buckets)."""
    failures: Counter[UpgradeFailure] = field(default_factory=Counter)
    """Rows that could not be upgraded, by reason; a row with several reasons counts under each."""

    def add(self, more: "ShadowSums") -> None:
        """Add each sum of the other."""
        self.calls += more.calls
        self.dropped += more.dropped
        self.failed += more.failed
        self.rows += more.rows
        self.not_upgraded += more.not_upgraded
        self.disagreed += more.disagreed
        self.shift_sum += more.shift_sum
        self.shifts.update(more.shifts)
        self.failures.update(more.failures)
