"""The kinds of change that a contract can undergo, and which of them a caller notices."""

from dataclasses import dataclass

RULES: dict[str, tuple[bool, str]] = {
    "model changed": (False, "it is the contract of another model"),
    "API version changed": (False, "it has another URL"),
    "field removed": (False, "a row that still holds it is refused"),
    "field renamed?": (False, "a row with the old name is refused; a new field of the same type and bounds suggests a renaming"),
    "required field added": (False, "a row without it is refused"),
    "optional field added": (True, "a row without it stays valid"),
    "field order changed": (True, "callers send names; only the estimator sees the order"),
    "type changed": (False, "values that fit the old type are refused or read differently"),
    "integer became number": (True, "every whole number is a number"),
    "range widened": (True, "every value that was inside still is"),
    "range narrowed": (False, "values that were inside are refused"),
    "allowed values added": (True, "the old ones are still taken"),
    "allowed values removed": (False, "rows that hold them are refused"),
    "longer text allowed": (True, "every text that fitted still does"),
    "shorter text demanded": (False, "texts that fitted are refused"),
    "null allowed": (True, "nobody need send it"),
    "null forbidden": (False, "rows that hold null are refused"),
    "field became optional": (True, "those who send it go on"),
    "field became required": (False, "rows that leave it out are refused"),
    "default changed": (False, "a row that leaves it out is answered as another row, in silence"),
    "unit added": (True, "it says what was meant; where it was not, make a new field"),
    "unit changed": (False, "the same number means something else"),
    "unit removed": (False, "the next step could be another unit, in silence"),
    "description changed": (True, "it is for reading"),
    "example changed": (True, "it is for reading"),
    "task changed": (False, "the answer has another shape"),
    "label added": (False, "callers get a name that they do not know"),
    "label removed": (False, "callers wait for a name that no longer comes"),
    "label renamed": (False, "callers get a name that they do not know for what they knew"),
    "label order changed": (False, "probabilities come in this order, and bulk readers take them by position"),
    "result added": (True, "callers ignore members that they do not know"),
    "result removed": (False, "callers read it"),
    "result order changed": (True, "members of an answer have names"),
    "more decimals": (True, "the same numbers, told more exactly"),
    "fewer decimals": (False, "numbers that could be told apart no longer can"),
    "more labels in top k": (True, "those that were answered still are"),
    "fewer labels in top k": (False, "probabilities that were answered are missing"),
    "target added": (True, "callers ignore members that they do not know"),
    "target removed": (False, "callers read it"),
    "target order changed": (True, "targets have names; only the estimator sees the order"),
}
"""Kind of change: whether a caller can go on unchanged, and why (or why not)."""


@dataclass(frozen=True, slots=True)
class Change:
    """`place` is the dotted place in the new file, or in the old one for what is gone; `kind` is one of RULES."""

    place: str
    kind: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.kind}{': ' * bool(self.detail)}{self.detail}"

    @property
    def compatible(self) -> bool:
        """Whether callers can go on unchanged."""
        return RULES[self.kind][0]

    @property
    def reason(self) -> str:
        """Why they can, or cannot."""
        return RULES[self.kind][1]
