"""Bridges between endpoints: an older one is answered by its successor's model. What cannot be is refused with the facts."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from gatehouse.errors import NotKnown, Refused, about
from gatehouse.migration.endpoint import Endpoint


def bridged(endpoint: Endpoint, siblings: Iterable[Endpoint], to: str, now: datetime) -> Endpoint:
    """Answered by the stable version of the API version `to`; its shadow ends. Raises Refused, NotKnown.

    Whether the upgrade rules fit is for the caller to see.
    """
    siblings, place = list(siblings), f"{endpoint.model} {endpoint.api_version}"
    if endpoint.state_at(now) == "retired":
        fact = f"{endpoint.name} is retired"
        raise Refused(f"{fact}; to serve it again: gatehouse endpoints undeprecate {place}", fact=fact)
    if endpoint.canary_version is not None:
        end = f"gatehouse endpoints rollback {place} ends it, gatehouse endpoints promote {place} takes it"
        fact = f"{endpoint.name} has a canary ({endpoint.canary_version})"
        raise Refused(f"{fact}: {end}", fact=f"{fact}: promote it or roll it back first")
    with about("to"):
        _check_target(endpoint, siblings, to, now)
    for other in bridges_to(endpoint, siblings):
        first = f"gatehouse endpoints bridge {other.model} {other.api_version} --to {to}, or unbridge it"
        fact = f"{endpoint.name} answers the calls of {other.name}, and bridges do not follow one another"
        raise Refused(f"{fact}: {first}", fact=fact)
    return replace(endpoint, bridged_to=to, shadow=None)


def unbridged(endpoint: Endpoint) -> Endpoint:
    """Answered by its own model again. Raises Refused."""
    if endpoint.bridged_to is None:
        raise Refused(f"{endpoint.name} is not bridged; it is served by {endpoint.model} {endpoint.stable_version}")
    return replace(endpoint, bridged_to=None)


def bridges_to(endpoint: Endpoint, siblings: Iterable[Endpoint]) -> list[Endpoint]:
    """The endpoints whose calls this one's model answers, but for those that answer nobody any more."""
    ours = (endpoint.model, endpoint.api_version)
    return [each for each in siblings if (each.model, each.bridged_to) == ours and each.state != "retired"]


def check_leads_nowhere(endpoint: Endpoint, siblings: Iterable[Endpoint]) -> None:
    """An endpoint whose model answers the calls of another one cannot end. Raises Refused."""
    for each in bridges_to(endpoint, siblings):
        place = f"{each.model} {each.api_version}"
        fact = f"{each.name} is bridged to {endpoint.name}, whose model answers its calls"
        raise Refused(f"{fact}: gatehouse endpoints unbridge {place} first, or bridge or retire that", fact=fact)


def check_own_model(endpoint: Endpoint) -> None:
    """A bridged endpoint has no release of its own to change. Raises Refused."""
    if endpoint.bridged_to is not None:
        end = f"gatehouse endpoints unbridge {endpoint.model} {endpoint.api_version} first"
        fact = f"{endpoint.name} is bridged to {endpoint.bridged_to} and serves no version of its own"
        raise Refused(f"{fact}: {end}", fact=fact)


def check_still_leads(endpoint: Endpoint, siblings: Iterable[Endpoint], now: datetime) -> None:
    """An endpoint that comes back over its bridge is answered at its other end. Raises Refused, NotKnown."""
    if endpoint.bridged_to is not None:
        _check_target(endpoint, list(siblings), endpoint.bridged_to, now)


def _check_target(endpoint: Endpoint, siblings: list[Endpoint], to: str, now: datetime) -> None:
    found = {each.api_version: each for each in siblings if each.model == endpoint.model}
    if to not in found:
        raise NotKnown("endpoint", f"{endpoint.model}/{to}", (each.name for each in found.values()))
    target, state = found[to], found[to].state_at(now)
    if int(to[1:]) <= int(endpoint.api_version[1:]):
        raise Refused(f"{target.name} is no later version than {endpoint.name}; a bridge leads to a later one")
    if target.bridged_to is not None:
        raise Refused(f"{target.name} is bridged to {target.bridged_to} itself: bridge {endpoint.name} to {target.bridged_to}")
    if state == "preview":
        first = f"gatehouse endpoints activate {target.model} {to} first"
        fact = f"{target.name} is a preview, and what answers a bridge must be meant to stay"
        raise Refused(f"{fact}: {first}", fact=fact)
    if state != "active":
        raise Refused(f"{target.name} is {state} itself; a bridge leads to a version that stays")
