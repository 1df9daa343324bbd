"""What changed in the fields of a contract."""

from collections.abc import Iterator, Sequence

from gatehouse.contracts.cells import range_detail
from gatehouse.contracts.changes import Change
from gatehouse.contracts.feature import Feature
from gatehouse.contracts.toml_table import TomlTable

Bound = tuple[float | int, bool]


def feature_changes(old: Sequence[Feature], new: Sequence[Feature]) -> Iterator[Change]:
    """Old fields in their order, then added ones, then the order as a whole."""
    was, now = {feature.name: feature for feature in old}, {feature.name: feature for feature in new}
    added = {name: feature for name, feature in now.items() if name not in was}
    for name, feature in was.items():
        if name in now:
            yield from _changes(feature, now[name], _place(name))
            continue
        heir = next((other for other in added.values() if _alike(feature, other)), None)
        if heir is None:
            yield Change(_place(name), "field removed")
        else:
            del added[heir.name]
            yield Change(_place(name), "field renamed?", f"{_place(heir.name)} has the same type and bounds")
    for name, feature in added.items():
        if feature.required:
            yield Change(_place(name), "required field added", "give it a default, and callers need not send it")
        else:
            yield Change(_place(name), "optional field added", f"left out, it is {_shown(feature.default)}")
    kept = [name for name in was if name in now]
    if kept != [name for name in now if name in was]:
        yield Change("features", "field order changed", f"now {', '.join(now)}")


def unit_changes(old: str | None, new: str | None, place: str) -> Iterator[Change]:
    """The unit of a field or of an answer."""
    if old == new:
        return
    kind = "unit added" if old is None else "unit removed" if new is None else "unit changed"
    yield Change(f"{place}.unit", kind, f"was {old or 'none'}, now {new or 'none'}")


def _changes(old: Feature, new: Feature, place: str) -> Iterator[Change]:
    if old.type != new.type:
        grown = (old.type, new.type) == ("integer", "number")
        yield Change(f"{place}.type", "integer became number" if grown else "type changed", f"was {old.type}, now {new.type}")
        if not grown:
            return  # bounds of different types cannot be compared
    yield from unit_changes(old.unit, new.unit, place)
    if new.type in ("number", "integer"):
        yield from _range_changes(old, new, place)
    yield from _allowed_changes(old, new, place)
    yield from _length_changes(old, new, place)
    yield from _presence_changes(old, new, place)
    for key in ("description", "example"):
        if getattr(old, key) != getattr(new, key):
            yield Change(f"{place}.{key}", f"{key} changed")


def _range_changes(old: Feature, new: Feature, place: str) -> Iterator[Change]:
    """Of the bounds that hold, so that writing down one that held anyway is no change."""
    was, now = (range_detail(feature).removeprefix("must be ") for feature in (old, new))
    detail = f"was {was}, now {now}"
    was_low, low = _lowest(old), _lowest(new)
    was_high, high = _highest(old), _highest(new)
    if low > was_low or high < was_high:
        yield Change(place, "range narrowed", detail)
    elif (low, high) != (was_low, was_high):
        yield Change(place, "range widened", detail)


def _lowest(feature: Feature) -> Bound:
    """Comparable: an exclusive bound is higher. Of whole numbers every bound is inclusive."""
    bound, above = feature.lowest
    return (bound + 1, False) if above and feature.type == "integer" else (bound, above)


def _highest(feature: Feature) -> Bound:
    """Comparable: an exclusive bound is lower. Of whole numbers every bound is inclusive."""
    bound, below = feature.highest
    return (bound - 1, True) if below and feature.type == "integer" else (bound, not below)


def _allowed_changes(old: Feature, new: Feature, place: str) -> Iterator[Change]:
    was, now = old.allowed or (), new.allowed or ()
    for kind, names, others in (("allowed values removed", was, set(now)), ("allowed values added", now, set(was))):
        found = [name for name in names if name not in others]
        if found:
            yield Change(f"{place}.allowed", kind, ", ".join(map(_shown, found)))


def _length_changes(old: Feature, new: Feature, place: str) -> Iterator[Change]:
    was, now = old.max_length or 0, new.max_length or 0
    if was != now:
        yield Change(f"{place}.max_length", "longer text allowed" if now > was else "shorter text demanded", f"was {was}, now {now}")


def _presence_changes(old: Feature, new: Feature, place: str) -> Iterator[Change]:
    if old.nullable != new.nullable:
        yield Change(f"{place}.nullable", "null allowed" if new.nullable else "null forbidden")
    if old.required != new.required:
        if new.required:
            yield Change(f"{place}.required", "field became required")
        else:
            yield Change(f"{place}.required", "field became optional", f"left out, it is {_shown(new.default)}")
    elif old.default != new.default:
        yield Change(f"{place}.default", "default changed", f"was {_shown(old.default)}, now {_shown(new.default)}")


def _alike(old: Feature, new: Feature) -> bool:
    if (old.type, old.unit, old.allowed, old.max_length) != (new.type, new.unit, new.allowed, new.max_length):
        return False
    return old.type not in ("number", "integer") or (_lowest(old), _highest(old)) == (_lowest(new), _highest(new))


def _place(name: str) -> str:
    return TomlTable({}, "features", []).place_of(name)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else f'"{value}"' if isinstance(value, str) else str(value)
