"""Which known name somebody may have meant."""

import difflib
from collections.abc import Iterable

LONGEST_COMPARED = 64
MOST_COMPARED = 100
"""A caller's body makes us compare: more names are not worth the time."""


def suggestion(written: str, known: Iterable[str]) -> str:
    """`did you mean x?`, or the list of what is known."""
    names = list(known)
    close = _closest(written, names)
    return f"did you mean {close}?" if close else f"known are {', '.join(names)}"


def close_name(written: str, known: Iterable[str]) -> str:
    """`; did you mean x?`, or nothing. Compares with at most MOST_COMPARED names."""
    names = list(known)
    close = _closest(written, names) if len(names) <= MOST_COMPARED else None
    return f"; did you mean '{close}'?" if close else ""


def _closest(written: str, names: list[str]) -> str | None:
    if len(written) > LONGEST_COMPARED:
        return None
    close = difflib.get_close_matches(written, names, n=1)
    if close:
        return close[0]
    folded = {name.casefold(): name for name in names}
    close = difflib.get_close_matches(written.casefold(), folded, n=1)
    return folded[close[0]] if close else None
