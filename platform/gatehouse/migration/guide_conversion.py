"""The upgrade rules of a guide as an expression for each new field, in whatever language writes them."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Protocol

Facts = Mapping[str, Any]
EXACT_INTEGER_MAX = 2**53
"""Every integer up to here is exact in a double."""


class Language(Protocol):
    """How one language writes what rules do. Every argument and answer that is no fact is code of that language."""

    def read(self, old: Facts) -> str:
        """A field of the older row, or its default where it may be left out."""

    def unless_null(self, reads: Sequence[str], instead: Any, made: str) -> str:
        """`made`, or the value `instead` where one of the reads is null."""

    def literal(self, value: Any) -> str:
        """A value."""

    def scaled(self, read: str, times: str, plus: str, *, rounds: bool) -> str:
        """In doubles. `rounds`: a whole number must be made a double first, or the result would be rounded otherwise."""

    def scaled_whole(self, read: str, factor: int, offset: int, *, fits: bool) -> str:
        """In whole numbers. `fits`: doubles hold all that comes up on the way."""

    def mapped(self, read: str, target: str) -> str:
        """What the table of `target` says of a value."""

    def part(self, read: str, field: Facts) -> str:
        """One part of a text, as a number where the new field is one."""

    def joined(self, reads: Sequence[str], old: Sequence[Facts], separator: str) -> str:
        """Texts and whole numbers as one text."""


def conversions(fields: Sequence[Facts], language: Language) -> list[tuple[str, str]]:
    """Name and expression of every field that a row of the newer contract is sent with."""
    return [(field["target"], _expression(field, language)) for field in fields if field["operation"] != "default"]


def tables(fields: Sequence[Facts]) -> dict[str, list[tuple[Any, Any]]]:
    """Of each mapped field the old values, as rows hold them, and the new ones."""
    return {
        field["target"]: [(_key(field["old"][0]["type"], key), value) for key, value in field["values"].items()]
        for field in fields
        if field["operation"] == "map"
    }


def may_be_null(old: Facts) -> bool:
    """Whether a row can hold null there: it was sent, or left out where there is no default."""
    return bool(old["nullable"]) or (not old["required"] and old.get("default") is None)


def _expression(field: Facts, language: Language) -> str:
    if field["operation"] == "constant":
        return language.literal(field["value"])
    reads = [language.read(old) for old in field["old"]]
    nullable = [read for read, old in zip(reads, field["old"], strict=True) if may_be_null(old)]
    made = _made(field, reads, language)
    if not nullable or (made == reads[0] and "if_null" not in field):
        return made
    return language.unless_null(nullable, field.get("if_null"), made)


def _made(field: Facts, reads: Sequence[str], language: Language) -> str:
    match field["operation"]:
        case "scale":
            return _scaled(field, reads[0], language)
        case "map":
            return language.mapped(reads[0], field["target"])
        case "split":
            return language.part(reads[0], field)
        case "join":
            return language.joined(reads, field["old"], field["separator"])
        case _:
            return reads[0]


def _scaled(field: Facts, read: str, language: Language) -> str:
    factor, offset, old = field["factor"], field["offset"], field["old"][0]
    reach = _reach(old)
    if field["new"]["type"] == "integer":
        fits = reach * abs(int(factor)) + abs(int(offset)) <= EXACT_INTEGER_MAX
        return language.scaled_whole(read, int(factor), int(offset), fits=fits)
    plus = "" if not offset else f" {'+' if offset > 0 else '-'} {_number(abs(offset), language)}"
    return language.scaled(read, _times(factor, language), plus, rounds=bool(offset) or reach > EXACT_INTEGER_MAX)


def _times(factor: float | int, language: Language) -> str:
    """A factor of 1/n divides by n, as the server does, so that 3 mm are 0.3 cm."""
    if factor == 1:
        return ""
    exact = Fraction(repr(factor))
    if exact.numerator in (1, -1) and 1 < exact.denominator <= EXACT_INTEGER_MAX:
        return f" / {_number(float(1 / exact), language)}"
    return f" * {_number(factor, language)}"


def _number(number: float | int, language: Language) -> str:
    whole = float(number).is_integer() and abs(number) <= EXACT_INTEGER_MAX
    return language.literal(int(number) if whole else float(number))


def _reach(old: Facts) -> float:
    """The largest magnitude that a row can hold there."""
    ceiling = EXACT_INTEGER_MAX if old["type"] == "integer" else float("inf")
    ends = [old.get(f"exclusive_{end}", old.get(end)) for end in ("minimum", "maximum")]
    return max(ceiling if end is None else abs(end) for end in ends)


def _key(type_: str, key: str) -> Any:
    if type_ == "boolean":
        return key == "true"
    return int(key) if type_ == "integer" else key
