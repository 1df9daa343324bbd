"""What serving needs to know of a contract. The contracts room's own classes fit these shapes; the rooms never import each other."""

from collections.abc import Sequence
from typing import Literal, Protocol, TypeAlias

Cell: TypeAlias = bool | int | float | str | None
ClassValue: TypeAlias = bool | int | float | str
Task: TypeAlias = Literal["classification", "regression", "multioutput"]

NUMERIC_TYPES = frozenset({"number", "integer", "boolean"})
"""Feature types that become a column of doubles; a contract with any other type is handed over as an object array."""


class FeatureShape(Protocol):
    """One feature, in the contract's order. A bound that is None is open."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def minimum(self) -> float | None: ...
    @property
    def maximum(self) -> float | None: ...
    @property
    def exclusive_minimum(self) -> float | None: ...
    @property
    def exclusive_maximum(self) -> float | None: ...
    @property
    def allowed(self) -> Sequence[Cell] | None: ...
    @property
    def max_length(self) -> int | None: ...
    @property
    def nullable(self) -> bool: ...
    @property
    def required(self) -> bool: ...
    @property
    def default(self) -> Cell: ...
    @property
    def example(self) -> Cell: ...


class LabelShape(Protocol):
    """A class of the estimator and the name that callers see."""

    @property
    def cls(self) -> ClassValue: ...
    @property
    def name(self) -> str: ...


class TargetShape(Protocol):
    """One of several outputs, in the estimator's order; its own output has no targets."""

    @property
    def name(self) -> str: ...
    @property
    def output(self) -> "OutputShape": ...


class OutputShape(Protocol):
    """What is answered; `decimals` bounds every number. A multioutput's `returns` are names of its `targets`."""

    @property
    def task(self) -> str: ...
    @property
    def labels(self) -> Sequence[LabelShape]: ...
    @property
    def returns(self) -> Sequence[str]: ...
    @property
    def decimals(self) -> int: ...
    @property
    def top_k(self) -> int | None: ...
    @property
    def targets(self) -> Sequence[TargetShape]: ...


class ContractShape(Protocol):
    """One contract; `digest` is the SHA-256 of its TOML bytes in hex."""

    @property
    def model(self) -> str: ...
    @property
    def api_version(self) -> str: ...
    @property
    def features(self) -> Sequence[FeatureShape]: ...
    @property
    def output(self) -> OutputShape: ...
    @property
    def digest(self) -> str: ...


def text_places(features: Sequence[FeatureShape]) -> list[int]:
    """Which columns hold texts."""
    return [place for place, feature in enumerate(features) if feature.type not in NUMERIC_TYPES]
