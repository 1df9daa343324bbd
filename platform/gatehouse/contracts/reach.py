"""Every value that a field can hold, as far as it can be listed or bounded: what a proof about all rows goes by."""

from fractions import Fraction
from math import ceil, floor, inf, nextafter

from gatehouse.contracts.cells import Cell
from gatehouse.contracts.feature import MAX_CATEGORIES, Feature

Number = int | float


def ends(feature: Feature) -> tuple[Number, Number]:
    """The lowest and the highest value of a number (as doubles) or of an integer."""
    (low, above), (high, below) = feature.lowest, feature.highest
    if feature.type == "integer":
        return (floor(low) + 1 if above else ceil(low)), (ceil(high) - 1 if below else floor(high))
    return _double(low, above, inf), _double(high, below, -inf)


def listed(feature: Feature) -> tuple[Cell, ...] | None:
    """All values but null where they are few: categories, true and false, the integers of a short range; else None."""
    if feature.type == "boolean":
        return (False, True)
    if feature.type == "integer":
        low, high = ends(feature)
        return tuple(range(int(low), int(high) + 1)) if high - low < MAX_CATEGORIES else None
    return feature.allowed


def may_be_null(feature: Feature) -> bool:
    """Whether a checked row can hold null: it was sent, or left out where there is no default."""
    return feature.nullable or (not feature.required and feature.default is None)


def written(number: Number) -> Fraction:
    """The decimal that people read: 0.1 is a tenth, not the double next to it."""
    return Fraction(repr(number))


def _double(bound: Number, exclusive: bool, inward: float) -> float:
    """The outermost double within a bound, which need not be a double itself."""
    nearest = float(bound)
    outside = Fraction(nearest) < Fraction(bound) if inward > 0 else Fraction(nearest) > Fraction(bound)
    return nextafter(nearest, inward) if outside or (exclusive and nearest == bound) else nearest
