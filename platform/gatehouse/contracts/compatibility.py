"""What changed between two contracts, judged by a caller who goes on unchanged.

Compatible: every row that was valid is valid and means the same, and everything that was answered is answered and means the same.
"""

from collections.abc import Iterable, Iterator
from typing import Literal

from gatehouse.contracts.changes import RULES, Change
from gatehouse.contracts.contract import Contract
from gatehouse.contracts.feature_changes import feature_changes
from gatehouse.contracts.output_changes import output_changes

__all__ = ["RULES", "Change", "Level", "compare", "level"]

Level = Literal["patch", "minor", "major"]


def compare(old: Contract, new: Contract) -> tuple[Change, ...]:
    """Every change, in the order of the file; none where only comments, layout or private classes differ."""
    return tuple(_changes(old, new))


def level(changes: Iterable[Change]) -> Level:
    """Which number of a model version must grow at least."""
    found = tuple(changes)
    if not found:
        return "patch"
    return "minor" if all(change.compatible for change in found) else "major"


def _changes(old: Contract, new: Contract) -> Iterator[Change]:
    if old.model != new.model:
        yield Change("model", "model changed", f"was {old.model}, now {new.model}")
    if old.api_version != new.api_version:
        yield Change("api_version", "API version changed", f"was {old.api_version}, now {new.api_version}")
    yield from feature_changes(old.features, new.features)
    yield from output_changes(old.output, new.output, "output")
