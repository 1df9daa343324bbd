"""The words of a guide for fields, answers and calls."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gatehouse.migration.guide_document import Code, Line

Facts = Mapping[str, Any]
MOST_SHOWN = 6
LONGEST_SHOWN = 60


def shown(value: Any) -> str:
    """A value as a body holds it; a long text is cut."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…"


def traits(view: Facts) -> str:
    """`number, cm, 0.1 to 15, may be null`."""
    said = [str(view["type"]), *([str(view["unit"])] if view.get("unit") else []), *_bounds(view)]
    if view.get("allowed"):
        names = [shown(name) for name in view["allowed"]]
        more = len(names) - MOST_SHOWN
        said.append("one of " + ", ".join(names[:MOST_SHOWN]) + (f" and {more} more" if more > 0 else ""))
    if view.get("max_length"):
        said.append(f"at most {view['max_length']:,} characters")
    if view["nullable"]:
        said.append("may be null")
    if not view["required"]:
        said.append(f"may be left out, then {shown(view.get('default'))}")
    return ", ".join(said)


def _bounds(view: Facts) -> Iterator[str]:
    low, high = view.get("minimum"), view.get("maximum")
    if low is not None and high is not None:
        yield f"{low} to {high}"
        return
    for key, words in (
        ("minimum", "at least"),
        ("exclusive_minimum", "above"),
        ("maximum", "at most"),
        ("exclusive_maximum", "below"),
    ):
        if view.get(key) is not None:
            yield f"{words} {view[key]}"


def names(found: Sequence[str]) -> Line:
    """Names with commas between them."""
    line: list[Any] = []
    for name in found:
        line += [", ", Code(name)] if line else [Code(name)]
    return line


def life_sentence(guide: Facts) -> Line:
    """Where the older version stands."""
    life, name = guide["life"] or {"state": "active"}, f"{guide['model']}/{guide['from']}"
    if life["state"] == "retired":
        until = f"; its last day was {life['sunset']} (UTC)" if life["sunset"] else ""
        return [f"{name} is retired and answers no more{until}."]
    if life["state"] == "deprecated":
        since = str(life["deprecated_at"])[:10]
        return [f"{name} is deprecated since {since} and answers you until the end of {life['sunset']} (UTC)."]
    return [f"{name} goes on. This page says how to call {guide['to']} instead."]


def calls_sentence(who: str, calls: Facts, guide: Facts) -> Line:
    """`Your key called v1 12 times in the last 30 days, last in the hour from 2026-11-21 14:00 UTC.`"""
    days = guide["calls"]["days"]
    if not calls["calls"]:
        return [f"{who} did not call {guide['from']} in the last {days} days."]
    hour = calls["last_hour"].replace("T", " ").removesuffix(":00Z")
    times = "once" if calls["calls"] == 1 else f"{calls['calls']:,} times"
    return [f"{who} called {guide['from']} {times} in the last {days} days, last in the hour from {hour} UTC."]


def value_sentence(part: Facts, guide: Facts) -> Line:
    """How a value of the older version comes from one of the newer."""
    old, new = part["unit"]["old"], part["unit"]["new"]
    sum_ = "" if part["factor"] == 1 else f" × {part['factor']}"
    sum_ += "" if not part["offset"] else f" {'+' if part['offset'] > 0 else '−'} {abs(part['offset'])}"
    units = (f" ({old})" if old else "", f" ({new})" if new else "")
    if not sum_:
        return [f"The value of {guide['to']} is that of {guide['from']}{units[1]}."]
    return [f"The value of {guide['from']}{units[0]} is that of {guide['to']}{units[1]}{sum_}."]
