"""The closed set of upgrade rules, as the newer contract's `[upgrade.from.v1]` writes them: how its fields come from the older one's."""

from dataclasses import dataclass
from typing import Literal

from gatehouse.contracts.feature import Value

Operation = Literal["keep", "rename", "scale", "map", "constant", "split", "join", "drop"]

MEMBERS_OF: dict[str, tuple[str, ...]] = {
    "keep": ("if_null", "partial", "note"),
    "rename": ("to", "if_null", "partial", "note"),
    "scale": ("to", "factor", "offset", "if_null", "partial", "note"),
    "map": ("to", "values", "if_null", "partial", "note"),
    "constant": ("to", "note"),
    "split": ("to", "separator", "partial", "note"),
    "join": ("to", "separator", "if_null", "partial", "note"),
    "drop": ("note",),
}
"""What may stand beside the operation, which is itself the name of a member."""
EXAMPLES: dict[str, str] = {
    "keep": '{keep = "age"}',
    "rename": '{rename = "age", to = "age_years"}',
    "scale": '{scale = "length", to = "length_mm", factor = 10}',
    "map": '{map = "size", to = "size_code", values = {small = "S", large = "L"}}',
    "constant": '{constant = "EUR", to = "currency"}',
    "split": '{split = "pressure", separator = "/", to = ["systolic", "diastolic"]}',
    "join": '{join = ["make", "model"], separator = " ", to = "car"}',
    "drop": '{drop = "customer_number"}',
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One operation. `sources` are fields of the older contract, `targets` of the newer; `partial`: some old values have no new one.

    New = old × `factor` + `offset`. `if_null` stands in for null; None lets null through.
    """

    operation: Operation
    place: str
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    factor: float | int = 1
    offset: float | int = 0
    values: tuple[tuple[str, Value], ...] = ()
    separator: str = ""
    constant: Value | None = None
    if_null: Value | None = None
    partial: bool = False
    note: str | None = None


@dataclass(frozen=True, slots=True)
class AnswerRule:
    """How one answer of the older contract comes from one of the newer. `target` and `source` name targets of a multioutput.

    `labels` lead from the newer contract's labels to the older's; those in `merged` are the sum of several, those in `never` come no more.
    Old value = new value × `factor` + `offset`.
    """

    place: str
    target: str | None = None
    source: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    merged: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    factor: float | int = 1
    offset: float | int = 0
    scaled: bool = False
    """Whether factor or offset is written."""
    note: str | None = None


@dataclass(frozen=True, slots=True)
class UpgradeRules:
    """All rules from one older contract, whose API version is `old`. `one_way`: its answers cannot be made, so nothing goes back."""

    old: str
    place: str
    rules: tuple[Rule, ...]
    answers: tuple[AnswerRule, ...]
    one_way: bool
