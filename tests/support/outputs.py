"""The output of a contract as the predictor reads it, without a contract."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Label:
    cls: object
    name: str


@dataclass(frozen=True)
class Output:
    task: str = "classification"
    labels: tuple = (Label(0, "low"), Label(1, "high"))
    returns: tuple = ("label", "confidence", "probabilities")
    decimals: int = 4
    top_k: int | None = None
