"""How an endpoint that ends says so: Deprecation (RFC 9745), Sunset (RFC 8594), Link (RFC 8288), and `notices` in the body."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import msgspec

from gatehouse.call import Notice
from gatehouse.migration.endpoint import Brownout, Deprecation, Endpoint


@dataclass(frozen=True, slots=True)
class Ending:
    """What callers of one endpoint are told, made once for each change of it."""

    last_moment: datetime | None
    """None where it was retired and it is not known when."""
    going: Notice
    """While it answers; `gone` afterwards."""
    gone: Notice
    refusal: str
    """Detail and further members of the problem that is answered afterwards."""
    members: Mapping[str, Any]

    def over(self, now: datetime) -> bool:
        """Whether it answers no more."""
        return self.last_moment is None or now > self.last_moment


def ending_of(endpoint: Endpoint, base_url: str, tenant_id: str | None = None) -> Ending:
    """What is told to a tenant with an extension, or to all others."""
    last_moment = endpoint.last_moment(tenant_id)
    headers = tuple(_headers(endpoint, last_moment, base_url))
    link = guide_url(endpoint, base_url) or f"{base_url}/errors/endpoint_retired"
    text = _gone_text(endpoint, last_moment, base_url)
    gone = going = Notice(headers, _member("endpoint_retired", text, link))
    if endpoint.deprecation is not None:
        going = Notice(headers, _member("endpoint_deprecated", _going_text(endpoint, endpoint.deprecation, tenant_id), link))
    return Ending(last_moment, going, gone, text, {"successor": successor_of(endpoint, base_url), "link": link})


def successor_of(endpoint: Endpoint, base_url: str) -> dict[str, str] | None:
    """Which API version to call instead, and where; None where none is named."""
    if endpoint.deprecation is None:
        return None
    successor = endpoint.deprecation.successor
    return {"api_version": successor, "url": f"{base_url}/{successor}/models/{endpoint.model}/predict"}


def guide_url(endpoint: Endpoint, base_url: str) -> str | None:
    """Where it is said how to move: the operator's page, or else the guide, or where no rules lead up the successor's contract."""
    ending = endpoint.deprecation
    if ending is None:
        return None
    if ending.link is None and endpoint.guided:
        return base_url + guide_path(endpoint.model, endpoint.api_version, ending.successor)
    return ending.link or f"{base_url}/{ending.successor}/models/{endpoint.model}"


def guide_path(model: str, old: str, new: str) -> str:
    """Where the guide from one API version to another is read."""
    return f"/{new}/models/{model}/migrate-from/{old}"


def brownout_text(endpoint: Endpoint, window: Brownout, tenant_id: str) -> str:
    """What a call is told that a brownout refuses."""
    ending = endpoint.deprecation
    ends = f"{endpoint.name} ends for good after {endpoint.last_day(tenant_id)} (UTC)"
    instead = f" Call {ending.successor} instead: {ends}." if ending else ""
    return f"{endpoint.name} is switched off for a trial until {moment_text(window.ends_at)}.{instead}"


def moment_text(moment: datetime) -> str:
    """RFC 3339 in UTC, whole seconds."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _headers(endpoint: Endpoint, last_moment: datetime | None, base_url: str) -> Iterator[tuple[bytes, bytes]]:
    if endpoint.deprecation is not None:
        yield b"deprecation", f"@{int(endpoint.deprecation.since.timestamp())}".encode("ascii")
    if last_moment is not None:
        yield b"sunset", format_datetime(last_moment, usegmt=True).encode("ascii")
    guide, successor = guide_url(endpoint, base_url), successor_of(endpoint, base_url)
    if successor is not None:
        links = f'<{guide}>; rel="deprecation", <{guide}>; rel="sunset", <{successor["url"]}>; rel="successor-version"'
        yield b"link", links.encode("ascii")


def _member(code: str, detail: str, link: str) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode([{"code": code, "detail": detail, "link": link}]))


def _going_text(endpoint: Endpoint, ending: Deprecation, tenant_id: str | None) -> str:
    reason = f" Reason: {ending.reason}" if ending.reason else ""
    last_day = endpoint.last_day(tenant_id)
    return f"{endpoint.name} is deprecated and answers until the end of {last_day} (UTC). Move to {ending.successor}.{reason}"


def _gone_text(endpoint: Endpoint, last_moment: datetime | None, base_url: str) -> str:
    stopped = f"{endpoint.name} answers no more" + (f" since the end of {last_moment.date()} (UTC)." if last_moment else ".")
    if endpoint.state == "retired" and last_moment is not None:
        stopped = f"{endpoint.name} has been retired on {last_moment.date()} (UTC)."
    successor = successor_of(endpoint, base_url)
    return stopped if successor is None else f"{stopped} Call {successor['api_version']} instead: {successor['url']}"
