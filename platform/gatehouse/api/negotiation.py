"""Which of several formats an Accept header asks for (RFC 9110, 12.5.1)."""

import re
from collections.abc import Iterable, Sequence

from gatehouse.errors import NotAcceptable

_RANGE = re.compile(r"([!#$%&'*+.^_`|~0-9a-z-]+)/([!#$%&'*+.^_`|~0-9a-z-]+)")
_QUALITY = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")
MOST_RANGES = 100


def accepted(fields: Iterable[str], offered: Sequence[str]) -> str:
    """The media type of `offered` that is wanted most, of equals the first; the first where there is no Accept. Raises NotAcceptable."""
    written = ",".join(fields)
    if not written.strip():
        return offered[0]
    ranges = [found for found in map(_range, written.lower().split(",")[:MOST_RANGES]) if found]
    best = max(offered, key=lambda media_type: _quality(media_type, ranges))  # of equals the first
    if not _quality(best, ranges):
        raise NotAcceptable(f"This address answers in {', '.join(offered)}.")
    return best


def _range(text: str) -> tuple[str, str, float] | None:
    """Type, subtype and quality; None for what is no media range, which asks for nothing."""
    media, *parameters = (part.strip() for part in text.split(";"))
    found = _RANGE.fullmatch(media)
    if found is None:
        return None
    quality = next((part[2:] for part in parameters if part.startswith("q=")), "1")
    return found[1], found[2], float(quality) if _QUALITY.fullmatch(quality) else 0.0


def _quality(media_type: str, ranges: Sequence[tuple[str, str, float]]) -> float:
    """By the most specific range that covers the type."""
    type_, _, subtype = media_type.partition("/")
    for wanted in ((type_, subtype), (type_, "*"), ("*", "*")):
        said = [quality for one, other, quality in ranges if (one, other) == wanted]
        if said:
            return max(said)
    return 0.0
