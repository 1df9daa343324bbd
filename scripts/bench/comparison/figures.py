"""What samples say together: medians, spread and ratios."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from comparison.load import Sample


@dataclass(frozen=True, slots=True)
class Figures:
    """Medians of the rounds; `spread` is the distance from the slowest to the fastest round, as a share of the median."""

    calls_s: float
    spread: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    load_share: float
    rounds: int

    def as_json(self) -> dict[str, float]:
        return {name: round(value, 4) for name, value in asdict(self).items()}


def figures_of(samples: Sequence[Sample]) -> Figures:
    """Raises ValueError where there are none."""
    if not samples:
        raise ValueError("no samples")

    def middle(of: Callable[[Sample], float]) -> float:
        return statistics.median(map(of, samples))

    speeds = [each.calls_s for each in samples]
    calls_s = middle(lambda each: each.calls_s)
    return Figures(
        calls_s,
        (max(speeds) - min(speeds)) / calls_s,
        middle(lambda each: each.p50_ms),
        middle(lambda each: each.p99_ms),
        middle(lambda each: each.cpu_us),
        middle(lambda each: each.load_share),
        len(samples),
    )


def ratio(ours: Sequence[Sample], theirs: Sequence[Sample], of: Callable[[Sample], float]) -> float:
    """The median of the ratios round by round, since a round's two samples had the same machine."""
    return statistics.median(of(our) / of(their) for our, their in zip(ours, theirs, strict=True))


def all_figures(samples: Mapping[str, Sequence[Sample]]) -> dict[str, Figures]:
    return {name: figures_of(each) for name, each in samples.items()}
