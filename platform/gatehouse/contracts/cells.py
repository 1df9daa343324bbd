"""One value against one feature: the rule behind every row, in both body shapes, and behind a contract's own examples."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gatehouse.contracts.feature import Feature

FLOAT64_MAX = sys.float_info.max
Cell = str | float | int | bool | None


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a value, in the contract's words only: stable code, public detail, the contract's facts."""

    code: str
    detail: str
    facts: Mapping[str, Any] = field(default_factory=dict)


CellCheck = Callable[[object], "Cell | Fault"]
"""Takes a JSON value; gives what the matrix is to hold, or the fault."""

MOST_ALLOWED_LISTED = 50
"""An error repeats the allow-list, and an answer holds many errors."""

SENT_AS: dict[type, str] = {
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
    type(None): "null",
}
KIND_OF_TYPE = {
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "category": "one of the allowed strings",
    "text": "a string",
}


def cell_check(feature: Feature) -> CellCheck:
    """The check of one feature; made once, it allocates nothing for a good value."""
    wrong = _type_faults(feature)
    null: Fault | None = None if feature.nullable else wrong[type(None)]
    judge = _JUDGES[feature.type](feature, wrong)

    def check(value: object) -> Cell | Fault:
        return null if value is None else judge(value)

    return check


def missing_fault(feature: Feature) -> Fault:
    """A required field that is not there, and what it must be."""
    kind = KIND_OF_TYPE[feature.type]
    bounds = f", {range_detail(feature).removeprefix('must be ')}" if feature.type in ("number", "integer") else ""
    return Fault("missing_field", f"is missing; it must be {kind}{bounds}", _type_facts(feature))


def range_detail(feature: Feature) -> str:
    """`must be 0.1 to 15 cm` in all its forms."""
    (low, above), (high, below) = feature.lowest, feature.highest
    unit = f" {feature.unit}" if feature.unit else ""
    has_low = feature.minimum is not None or above
    has_high = feature.maximum is not None or below
    if not has_low and not has_high:
        reach = "±2^53, where a double is exact" if feature.type == "integer" else f"±{high}, the range of a 32-bit float"
        return f"must be within {reach}"
    if has_low and has_high and not above and not below:
        return f"must be {low} to {high}{unit}"
    parts = []
    if has_low:
        parts.append(f"greater than {low}" if above else f"at least {low}")
    if has_high:
        parts.append(f"less than {high}" if below else f"at most {high}")
    return f"must be {' and '.join(parts)}{unit}"


def range_facts(feature: Feature) -> dict[str, Any]:
    """The bounds that hold, under their JSON Schema names, and the unit."""
    (low, above), (high, below) = feature.lowest, feature.highest
    facts: dict[str, Any] = {
        "exclusive_minimum" if above else "minimum": low,
        "exclusive_maximum" if below else "maximum": high,
    }
    return facts | ({"unit": feature.unit} if feature.unit else {})


def _allowed_facts(feature: Feature) -> dict[str, Any]:
    if feature.allowed is None:
        return {}
    if len(feature.allowed) <= MOST_ALLOWED_LISTED:
        return {"allowed": list(feature.allowed)}
    return {"allowed": list(feature.allowed[:MOST_ALLOWED_LISTED]), "allowed_total": len(feature.allowed)}


def _type_facts(feature: Feature) -> dict[str, Any]:
    facts: dict[str, Any] = {"type": feature.type}
    if feature.type in ("number", "integer"):
        facts |= range_facts(feature)
    return facts | _allowed_facts(feature)


def _type_faults(feature: Feature) -> dict[type, Fault]:
    kind = KIND_OF_TYPE[feature.type]
    facts = _type_facts(feature)
    faults = {sent: Fault("wrong_type", f"must be {kind}, not {words}", facts) for sent, words in SENT_AS.items()}
    faults[type(None)] = Fault("null_not_allowed", f"must be {kind}; null is not allowed here", facts)
    return faults


def _number(feature: Feature, wrong: dict[type, Fault]) -> CellCheck:
    inside = _inside(feature)
    outside = Fault("out_of_range", range_detail(feature), range_facts(feature))

    def judge(value: object) -> Cell | Fault:
        if type(value) is float or type(value) is int:
            if not -FLOAT64_MAX <= value <= FLOAT64_MAX:
                return outside
            number = float(value)  # first the double that the matrix holds, then its bounds
            return number if inside(number) else outside
        return wrong[type(value)]

    return judge


def _integer(feature: Feature, wrong: dict[type, Fault]) -> CellCheck:
    inside = _inside(feature)
    facts = range_facts(feature)
    outside = Fault("out_of_range", range_detail(feature), facts)
    broken = Fault("not_an_integer", "must be a whole number, without a fraction", facts)

    def judge(value: object) -> Cell | Fault:
        if type(value) is int:
            return value if inside(value) else outside
        if type(value) is float:
            if not value.is_integer():
                return broken
            return int(value) if inside(value) else outside
        return wrong[type(value)]

    return judge


def _inside(feature: Feature) -> Callable[[float | int], bool]:
    (low, above), (high, below) = feature.lowest, feature.highest
    if not above and not below:
        return lambda number: low <= number <= high
    if above and below:
        return lambda number: low < number < high
    if above:
        return lambda number: low < number <= high
    return lambda number: low <= number < high


def _boolean(_: Feature, wrong: dict[type, Fault]) -> CellCheck:
    def judge(value: object) -> Cell | Fault:
        return value if type(value) is bool else wrong[type(value)]

    return judge


def _category(feature: Feature, wrong: dict[type, Fault]) -> CellCheck:
    names = feature.allowed or ()
    allowed = frozenset(names)
    shown = ", ".join(f'"{name}"' for name in names[:10]) + (f" or {len(names) - 10} more" if len(names) > 10 else "")
    unknown = Fault("not_allowed", f"must be exactly {'one of ' if len(names) > 1 else ''}{shown}", _allowed_facts(feature))

    def judge(value: object) -> Cell | Fault:
        if type(value) is str:
            return value if value in allowed else unknown
        return wrong[type(value)]

    return judge


def _text(feature: Feature, wrong: dict[type, Fault]) -> CellCheck:
    longest = feature.max_length or 0
    too_long = Fault("too_long", f"must be at most {longest} characters", {"max_length": longest})
    has_nul = Fault("not_allowed", "must not hold the character NUL (U+0000)")

    def judge(value: object) -> Cell | Fault:
        if type(value) is not str:
            return wrong[type(value)]
        if len(value) > longest:
            return too_long
        return has_nul if "\0" in value else value

    return judge


_JUDGES: dict[str, Callable[[Feature, dict[type, Fault]], CellCheck]] = {
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
    "category": _category,
    "text": _text,
}
