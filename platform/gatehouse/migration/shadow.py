"""What shadows of a tenant's calls came to: counts and differences, never what a caller sent."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ShadowFigures:
    """One tenant's calls of one endpoint that `other_version` was to score too. `calls` are dropped, failed or compared ones."""

    tenant_id: str
    other_version: str
    calls: int
    dropped: int
    failed: int
    rows: int
    """Of the calls that were neither dropped nor failed."""
    not_upgraded: int
    disagreed: int
    shift_mean: float | None
    """Of the other answer's confidence (or value) less the live one's; None where no row was compared."""
    shift_quantiles: Mapping[int, float]
    """By percent: 5, 50, 95; empty where no row was compared."""

    @property
    def compared(self) -> int:
        """Rows that both answered."""
        return self.rows - self.not_upgraded


@dataclass(frozen=True, slots=True)
class UpgradeFailures:
    """Rows of one tenant that the rules could not upgrade, by field of the older contract and code of the error."""

    tenant_id: str
    field: str
    code: str
    rows: int
