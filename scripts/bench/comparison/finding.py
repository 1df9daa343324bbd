"""What a study hands back: a table, its figures for JSON, and the bars it is held against."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Bar:
    """A target; 0 where it is what another server needs that was not there. `measured` is None where this run could not tell."""

    what: str
    target: float
    measured: float | None
    least: bool = True
    """Whether the measured value must be at least the target, rather than at most."""
    unit: str = "times"

    @property
    def met(self) -> bool | None:
        if self.measured is None:
            return None
        return self.measured >= self.target if self.least else self.measured <= self.target

    def cells(self) -> list[str]:
        """What, target, measured, verdict."""
        sign = "≥" if self.least else "≤"
        target = f"{sign} {shown(self.target)} {self.unit}" if self.target else "–"
        found = "not measured" if self.measured is None else f"{shown(self.measured)} {self.unit}"
        return [self.what, target, found, {None: "–", True: "met", False: "missed"}[self.met]]

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"met": self.met}


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars of one unit, by name."""

    title: str
    unit: str
    values: dict[str, float]


@dataclass(frozen=True, slots=True)
class Finding:
    """`rows` begin with their head."""

    title: str
    rows: Sequence[Sequence[str]]
    figures: dict[str, Any] = field(default_factory=dict)
    bars: Sequence[Bar] = ()
    charts: Sequence[Chart] = ()
    notes: Sequence[str] = ()


def p99_bar(what: str, alone_ms: float, beside_ms: float) -> Bar:
    """Beside something: the larger of 2 times and 3 ms more than alone."""
    return Bar(what, max(2 * alone_ms, alone_ms + 3), beside_ms, least=False, unit="ms")


def shown(value: float) -> str:
    """Three figures, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
