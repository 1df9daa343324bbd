"""Header fields of an endpoint that ends, read by the RFCs' grammars and never by the code that writes them."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import http_sf

FIELDS = ("deprecation", "sunset", "link")
_IMF_FIXDATE = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT")
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_LINK_VALUE = re.compile(rf'<([^<>"\s]+)>((?:\s*;\s*{_TOKEN}\s*=\s*(?:{_TOKEN}|"[^"\\]*"))*)\s*(?:,\s*|$)')
_PARAMETER = re.compile(rf';\s*({_TOKEN})\s*=\s*(?:({_TOKEN})|"([^"\\]*)")')


def deprecation(headers: Mapping[str, str]) -> datetime:
    """RFC 9745 2: a Date of RFC 9651."""
    value = http_sf.parse(headers["deprecation"].encode("ascii"), tltype="item")
    assert isinstance(value, tuple)
    since, parameters = value
    assert isinstance(since, datetime)
    assert parameters == {}
    return since.replace(tzinfo=UTC) if since.tzinfo is None else since.astimezone(UTC)


def sunset(headers: Mapping[str, str]) -> datetime:
    """RFC 8594 3: an HTTP-date; what is sent is always an IMF-fixdate (RFC 9110 5.6.7), whose day of the week is right."""
    value = headers["sunset"]
    assert _IMF_FIXDATE.fullmatch(value), value
    at = parsedate_to_datetime(value)
    assert value.startswith(at.strftime("%a, "))
    return at


def links(headers: Mapping[str, str]) -> dict[str, str]:
    """RFC 8288 3: relation type to target."""
    value, at, found = headers["link"], 0, {}
    while at < len(value):
        link = _LINK_VALUE.match(value, at)
        assert link, value[at:]
        parameters = {name: token or quoted for name, token, quoted in _PARAMETER.findall(link[2])}
        for relation in parameters["rel"].split():
            assert relation not in found
            found[relation] = link[1]
        at = link.end()
    return found
