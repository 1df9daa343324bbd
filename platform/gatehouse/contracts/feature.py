"""One input field of a contract: what a partner may send in it."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Any, Literal, get_args

from gatehouse.contracts.names import suggestion
from gatehouse.contracts.toml_table import TomlTable

FeatureType = Literal["number", "integer", "boolean", "category", "text"]
Value = str | float | int | bool

FEATURE_TYPES: tuple[str, ...] = get_args(FeatureType)
NUMERIC_TYPES = frozenset({"number", "integer", "boolean"})
FLOAT32_MAX = 3.4028234663852886e38
"""A greater number would become infinite in a float32 graph."""
EXACT_INTEGER_MAX = 2**53
"""Every integer up to here is exact in a float64 matrix."""
DEFAULT_MAX_LENGTH = 10_000
LARGEST_MAX_LENGTH = 1_000_000
MAX_CATEGORIES = 10_000
MAX_CATEGORY_LENGTH = 256
MAX_DESCRIPTION = 1_000
MAX_UNIT = 40
RESERVED_NAMES = frozenset({"instances", "columns", "data", "outputs"})
NAME = re.compile(r"[A-Za-z_](?:[A-Za-z0-9_ .()%-]{0,61}[A-Za-z0-9_)%])?")

BOUND_KEYS = ("minimum", "maximum", "exclusive_minimum", "exclusive_maximum")
KEYS_OF_TYPE: dict[str, tuple[str, ...]] = {
    "number": ("unit", *BOUND_KEYS),
    "integer": ("unit", *BOUND_KEYS),
    "boolean": (),
    "category": ("allowed",),
    "text": ("max_length",),
}
KEYS_OF_ALL = ("type", "required", "default", "nullable", "description", "example")
EXAMPLE_LINES = {
    "number": "example = 5.2",
    "integer": "example = 3",
    "boolean": "example = true",
    "category": 'example = "red"',
    "text": 'example = "a few words"',
}


@dataclass(frozen=True, slots=True)
class Feature:
    """Bounds are the author's own, None where none is written; `lowest` and `highest` always hold."""

    name: str
    type: FeatureType
    unit: str | None
    minimum: float | int | None
    maximum: float | int | None
    exclusive_minimum: float | int | None
    exclusive_maximum: float | int | None
    allowed: tuple[str, ...] | None
    max_length: int | None
    required: bool
    default: Value | None
    nullable: bool
    description: str | None
    example: Value

    @property
    def ceiling(self) -> float | int:
        """The largest magnitude of this type that serving can carry exactly (integer) or finitely (number)."""
        return EXACT_INTEGER_MAX if self.type == "integer" else FLOAT32_MAX

    @property
    def lowest(self) -> tuple[float | int, bool]:
        """The effective lower bound, and whether it is exclusive."""
        if self.exclusive_minimum is not None:
            return self.exclusive_minimum, True
        return (-self.ceiling if self.minimum is None else self.minimum), False

    @property
    def highest(self) -> tuple[float | int, bool]:
        """The effective upper bound, and whether it is exclusive."""
        if self.exclusive_maximum is not None:
            return self.exclusive_maximum, True
        return (self.ceiling if self.maximum is None else self.maximum), False


def colliding(name: str) -> str:
    """Two features whose names differ only by case or punctuation have the same of these."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def read_feature(name: str, table: TomlTable) -> Feature | None:
    """The feature that `[features.<name>]` describes, None after a complaint. Default and example are not yet judged."""
    if not NAME.fullmatch(name) or name in RESERVED_NAMES:
        table.complain(
            "", "is no good name; use 1 to 63 letters, digits, _ . - % ( ) and inner blanks, a letter first, and no reserved word"
        )
        return None
    type_ = table.take("type", str, example='type = "number"', required=True)
    if type_ is None:
        return None
    if type_ not in FEATURE_TYPES:
        table.complain("type", f"is not a known type; {suggestion(type_, FEATURE_TYPES)}")
        return None
    table.refuse_unknown((*KEYS_OF_ALL, *KEYS_OF_TYPE[type_]))
    if not table.has("example"):
        table.complain("example", f"is missing; write one that you invent: {EXAMPLE_LINES[type_]}")
        return None
    required = table.take("required", bool, example="required = false")
    nullable = bool(table.take("nullable", bool, example="nullable = true"))
    _check_default(table, required is not False, nullable)
    bounds = _bounds(table, type_)
    return Feature(
        name=name,
        type=type_,  # type: ignore[arg-type]  # one of FEATURE_TYPES, seen above
        unit=_short_text(table, "unit", MAX_UNIT, 'unit = "cm"'),
        **bounds,
        allowed=_allowed(table) if type_ == "category" else None,
        max_length=_max_length(table) if type_ == "text" else None,
        required=required is not False,
        default=table.raw("default"),
        nullable=nullable,
        description=_short_text(table, "description", MAX_DESCRIPTION, 'description = "Length of the sepal"'),
        example=table.raw("example"),
    )


def _check_default(table: TomlTable, required: bool, nullable: bool) -> None:
    if required and table.has("default"):
        table.complain("default", "is never used, because the field is required; write required = false beside it, or remove it")
    if not required and not table.has("default") and not nullable:
        table.complain(
            "required", "is false, so the field may be missing; write default = …, or nullable = true if the model takes missing values"
        )


def _bounds(table: TomlTable, type_: str) -> dict[str, Any]:
    if type_ not in ("number", "integer"):
        return dict.fromkeys(BOUND_KEYS)
    bounds = {key: table.number(key, whole=type_ == "integer") for key in BOUND_KEYS}
    limit = EXACT_INTEGER_MAX if type_ == "integer" else FLOAT32_MAX
    for key, bound in bounds.items():
        if bound is not None and abs(bound) > limit:
            table.complain(key, f"is beyond what a model can be given; write at most {limit} in magnitude, or leave it out")
    for end in ("minimum", "maximum"):
        if bounds[end] is not None and bounds[f"exclusive_{end}"] is not None:
            table.complain(end, f"stands beside exclusive_{end}; keep one of them")
    low = bounds["minimum"] if bounds["minimum"] is not None else bounds["exclusive_minimum"]
    high = bounds["maximum"] if bounds["maximum"] is not None else bounds["exclusive_maximum"]
    if low is not None and high is not None and not low < high:
        table.complain("minimum" if bounds["minimum"] is not None else "exclusive_minimum", "must be smaller than the maximum")
    return bounds


def _allowed(table: TomlTable) -> tuple[str, ...]:
    line = 'allowed = ["red", "green"]'
    values = table.take("allowed", list, example=line, required=True)
    if values is None:
        return ()
    if not all(type(value) is str and 0 < len(value) <= MAX_CATEGORY_LENGTH and plain(value) for value in values):
        table.complain(
            "allowed", f"must hold texts of 1 to {MAX_CATEGORY_LENGTH} characters without control characters, for example: {line}"
        )
        return ()
    if not 1 <= len(values) <= MAX_CATEGORIES or len(set(values)) != len(values):
        table.complain("allowed", f"must hold 1 to {MAX_CATEGORIES} different texts, for example: {line}")
        return ()
    return tuple(values)


def _max_length(table: TomlTable) -> int:
    length = table.take("max_length", int, example="max_length = 200")
    if length is None:
        return DEFAULT_MAX_LENGTH
    if not 1 <= length <= LARGEST_MAX_LENGTH:
        table.complain("max_length", f"must be 1 to {LARGEST_MAX_LENGTH} characters; {DEFAULT_MAX_LENGTH} is the default")
    return length


def _short_text(table: TomlTable, key: str, longest: int, example: str) -> str | None:
    text = table.take(key, str, example=example)
    if text is not None and not (0 < len(text) <= longest and plain(text)):
        table.complain(key, f"must be 1 to {longest} characters in one line, for example: {example}")
    return text


def plain(text: str) -> bool:
    """Whether a text of a contract holds no control character."""
    return not any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text)
