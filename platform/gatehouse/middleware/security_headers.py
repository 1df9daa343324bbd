"""Headers that every answer carries, refusals included (OWASP ASVS 3.4, 14.3.2)."""

from collections.abc import Iterable
from operator import itemgetter

_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_UNLESS_SET = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
_DEFAULTS = (*_ALWAYS, *_UNLESS_SET)
_SETTABLE = frozenset(name for name, _ in _UNLESS_SET)
_name_of = itemgetter(0)


def beside(given: Iterable[tuple[bytes, bytes]]) -> Iterable[tuple[bytes, bytes]]:
    """What goes out beside the headers of an answer, which may have a policy or a time to be kept of its own."""
    if _SETTABLE.isdisjoint(map(_name_of, given)):
        return _DEFAULTS
    own = [name for name, _ in given if name in _SETTABLE]
    return [field for field in _DEFAULTS if field[0] not in own]
