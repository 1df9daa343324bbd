"""The steps of an endpoint's life: deprecated, extended for one tenant, retired, and back. What cannot be is refused with the facts."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from urllib.parse import urlsplit

from gatehouse.errors import NotKnown, Refused, about
from gatehouse.migration.bridging import check_leads_nowhere
from gatehouse.migration.brownout import within_life
from gatehouse.migration.endpoint import Deprecation, Endpoint, Extension

MAX_REASON = 200
MAX_LINK = 500
LIVE_DAYS = 7
"""Days without a call after which an endpoint is retired without being forced."""
_LINK = re.compile(r"https?://[!#-;=?-\[\]_a-z~%]+", re.ASCII)
"""What stands between < and > in a Link header: no blank, quote or angle bracket."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """What an operator says of an endpoint's end."""

    sunset: date
    successor: str
    reason: str | None = None
    link: str | None = None


@dataclass(frozen=True, slots=True)
class LiveCalls:
    """Calls of one tenant that an endpoint has taken lately."""

    tenant: str
    calls: int
    last_hour: datetime


def deprecated(endpoint: Endpoint, siblings: Iterable[Endpoint], said: Announcement, now: datetime) -> Endpoint:
    """Still served, and told to end; said again, the end is moved and what is not said anew stays. Brownouts behind the end are gone.

    Raises Refused, NotKnown.
    """
    place = f"{endpoint.model} {endpoint.api_version}"
    if endpoint.state == "preview":
        fact = f"{endpoint.name} is a preview"
        raise Refused(f"{fact}: gatehouse endpoints activate {place} first", fact=f"{fact}; activate it first")
    if endpoint.state == "retired":
        fact = f"{endpoint.name} is retired"
        raise Refused(f"{fact}; to serve it again: gatehouse endpoints undeprecate {place}", fact=fact)
    siblings = list(siblings)
    check_leads_nowhere(endpoint, siblings)
    _check_sunset(said.sunset, now)
    with about("successor"):
        _check_successor(endpoint, siblings, said.successor, now)
    _check_words(said)
    before = endpoint.deprecation
    since, reason, link = (before.since, before.reason, before.link) if before else (now.replace(microsecond=0), None, None)
    ending = Deprecation(since, said.sunset, said.successor, said.reason or reason, said.link or link)
    ended = replace(endpoint, state="deprecated", deprecation=ending)
    return replace(ended, brownouts=within_life(ended))


def undeprecated(endpoint: Endpoint) -> Endpoint:
    """Served on without an end, also when it was retired; extensions and brownouts are gone with the sunset. Raises Refused."""
    if endpoint.state == "preview":
        raise Refused(f"{endpoint.name} is a preview, and was never deprecated")
    return replace(endpoint, state="active", deprecation=None, retired_at=None, extensions=(), brownouts=())


def extended(endpoint: Endpoint, tenant_id: str, tenant: str, until: date, now: datetime) -> Endpoint:
    """One tenant may call past the sunset; said again, its day is moved. Raises Refused."""
    if endpoint.state != "deprecated" or endpoint.deprecation is None:
        raise Refused(f"{endpoint.name} is {endpoint.state}; only a deprecated endpoint has a sunset that can be extended")
    if until <= endpoint.deprecation.sunset:
        fact = f"{endpoint.name} answers everybody until {endpoint.deprecation.sunset}; an extension ends later than that"
        raise Refused(fact, member="until")
    if until < now.date():
        raise Refused(f"{until} is past; today is {now.date()} (UTC)", member="until")
    others = [each for each in endpoint.extensions if each.tenant_id != tenant_id]
    ordered = sorted([*others, Extension(tenant_id, tenant, until)], key=lambda each: each.tenant)
    moved = replace(endpoint, extensions=tuple(ordered))
    return replace(moved, brownouts=within_life(moved))


def unextended(endpoint: Endpoint, tenant: str) -> Endpoint:
    """The sunset holds for this tenant too; brownouts of it that come later are gone. Raises Refused."""
    kept = tuple(each for each in endpoint.extensions if each.tenant != tenant)
    if kept == endpoint.extensions:
        whose = ", ".join(each.tenant for each in endpoint.extensions) or "nobody"
        fact = f"{endpoint.name} is not extended for this tenant"
        raise Refused(f"{endpoint.name} is not extended for {tenant!r}; it is for {whose}", fact=fact)
    ended = replace(endpoint, extensions=kept)
    return replace(ended, brownouts=within_life(ended))


def retired(endpoint: Endpoint, siblings: Iterable[Endpoint], live: Sequence[LiveCalls], now: datetime, *, force: bool) -> Endpoint:
    """Answers nobody any more, also no tenant with an extension. Raises Refused, with what speaks against it unless it is forced."""
    place = f"{endpoint.model} {endpoint.api_version}"
    if endpoint.state == "retired":
        return endpoint
    if endpoint.state == "preview":
        raise Refused(f"{endpoint.name} is a preview; who may call it: gatehouse grants list", fact=f"{endpoint.name} is a preview")
    siblings = list(siblings)
    check_leads_nowhere(endpoint, siblings)
    against = list(_against(endpoint, siblings, live, now))
    if against and not force:
        lines = "\n".join(f"  {fact}" for fact in against)
        fact = f"{endpoint.name} is still in use:\n{lines}"
        remedy = f"Retire it all the same: gatehouse endpoints retire {place} --force"
        raise Refused(f"{fact}\n{remedy}", fact=f"{fact}\nWith force it is retired all the same")
    return replace(endpoint, state="retired", retired_at=now.replace(microsecond=0), extensions=(), brownouts=())


def _against(endpoint: Endpoint, siblings: Iterable[Endpoint], live: Sequence[LiveCalls], now: datetime) -> Iterable[str]:
    for each in live:
        last = f"the last in the hour from {each.last_hour:%Y-%m-%d %H:%M} UTC"
        yield f"{each.tenant}: {each.calls:,} call{'s' if each.calls != 1 else ''} in the last {LIVE_DAYS} days, {last}"
    for extension in endpoint.extensions:
        if extension.until >= now.date():
            yield f"{extension.tenant} was given until {extension.until}"
    for sibling in siblings:
        if sibling.deprecation and sibling.deprecation.successor == endpoint.api_version and sibling.state_at(now) == "deprecated":
            yield f"callers of {sibling.name} are told to move to it"


def _check_sunset(sunset: date, now: datetime) -> None:
    if sunset < now.date():
        fact = f"a sunset on {sunset} is past; today is {now.date()} (UTC)"
        raise Refused(f"{fact}. To end it now: gatehouse endpoints retire", fact=fact, member="sunset")


def _check_successor(endpoint: Endpoint, siblings: list[Endpoint], name: str, now: datetime) -> None:
    found = {each.api_version: each for each in siblings if each.model == endpoint.model}
    if name not in found:
        raise NotKnown("endpoint", f"{endpoint.model}/{name}", (each.name for each in found.values()))
    successor = found[name]
    if int(name[1:]) <= int(endpoint.api_version[1:]):
        raise Refused(f"{successor.name} is no later version than {endpoint.name}, so it cannot follow it")
    state = successor.state_at(now)
    if state == "preview":
        first = f"gatehouse endpoints activate {successor.model} {name}"
        fact = f"{successor.name} is a preview, which grants of the whole model do not cover"
        raise Refused(f"{fact}: {first}", fact=fact)
    if state != "active":
        raise Refused(f"{successor.name} is {state} itself; name a version that stays")


def _check_words(said: Announcement) -> None:
    if said.reason is not None and not (said.reason.strip() and said.reason.isprintable() and len(said.reason) <= MAX_REASON):
        raise Refused(f"a reason is one line of 1 to {MAX_REASON} printable characters", member="reason")
    if said.link is not None and not (len(said.link) <= MAX_LINK and _LINK.fullmatch(said.link) and _plain(said.link)):
        fact = f"a link is an http(s) address of at most {MAX_LINK} ASCII characters without blanks, quotes or a password"
        raise Refused(fact, member="link")


def _plain(link: str) -> bool:
    """An address with a host, and nobody's password."""
    try:
        parts = urlsplit(link)
        return bool(parts.hostname) and parts.username is None and (parts.port or 0) >= 0
    except ValueError:
        return False
