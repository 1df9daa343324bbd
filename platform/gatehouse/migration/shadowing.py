"""Shadows of endpoints, begun and ended: what cannot be is refused with the facts."""

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from gatehouse.errors import NotKnown, Refused, about
from gatehouse.migration.endpoint import Endpoint, Shadow, api_version_of

API_VERSION = re.compile(r"v[1-9][0-9]{0,2}")
MODEL_VERSION = re.compile(r"[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}")


def shadowed(endpoint: Endpoint, siblings: Iterable[Endpoint], version: str, percent: int, now: datetime) -> Endpoint:
    """So many of a hundred of its calls are scored by `version` too; said again, it is changed. Raises Refused, NotKnown.

    Whether the version is published and the upgrade rules fit is for the caller to see.
    """
    place = f"{endpoint.model} {endpoint.api_version}"
    if not 1 <= percent <= 100:
        fact = "a share is 1 to 100 of a hundred calls"
        raise Refused(f"{fact}; to end the shadow: gatehouse endpoints unshadow {place}", fact=fact, member="share")
    if endpoint.state_at(now) == "retired":
        fact = f"{endpoint.name} is retired, so there are no calls to score"
        raise Refused(f"{fact}; to serve it again: gatehouse endpoints undeprecate {place}", fact=fact)
    if endpoint.bridged_to is not None:
        end = f"gatehouse endpoints unbridge {place}"
        fact = f"{endpoint.name} is bridged to {endpoint.bridged_to}, whose model scores its calls already"
        raise Refused(f"{fact}: {end}", fact=fact)
    with about("version"):
        other_version(endpoint, siblings, version, now)
    return replace(endpoint, shadow=Shadow(version, percent))


def unshadowed(endpoint: Endpoint) -> Endpoint:
    """Scored by the version that answers alone. Raises Refused."""
    if endpoint.shadow is None:
        raise Refused(f"{endpoint.name} has no shadow: gatehouse endpoints list shows who has", fact=f"{endpoint.name} has no shadow")
    return replace(endpoint, shadow=None)


def other_version(endpoint: Endpoint, siblings: Iterable[Endpoint], version: str, now: datetime) -> str:
    """The model version that scores too: itself, or the stable one of a later API version. Raises Refused, NotKnown."""
    if API_VERSION.fullmatch(version):
        return _stable_of(endpoint, list(siblings), version, now)
    if not MODEL_VERSION.fullmatch(version):
        raise Refused("the other version is an API version such as v2, or a model version such as 1.3.0")
    if api_version_of(version) != endpoint.api_version:
        fact = f"{version} belongs to {api_version_of(version)}, not to {endpoint.api_version}"
        name = f"name a version {endpoint.api_version[1:]}.x.y, or the API version"
        raise Refused(f"{fact}: {name}: --with {api_version_of(version)}", fact=f"{fact}: {name}, {api_version_of(version)}")
    if version == endpoint.stable_version:
        raise Refused(f"{endpoint.name} is served by {version}: name another version, with which it is to be compared")
    return version


def _stable_of(endpoint: Endpoint, siblings: list[Endpoint], version: str, now: datetime) -> str:
    if version == endpoint.api_version:
        raise Refused(f"{endpoint.name} cannot be its own shadow: name a later API version, or another {version[1:]}.x.y")
    found = {each.api_version: each for each in siblings if each.model == endpoint.model}
    if version not in found:
        raise NotKnown("endpoint", f"{endpoint.model}/{version}", (each.name for each in found.values()))
    other = found[version]
    if int(version[1:]) < int(endpoint.api_version[1:]):
        raise Refused(f"{other.name} is older than {endpoint.name}, and rules lead only to a later version")
    if other.state_at(now) == "retired":
        raise Refused(f"{other.name} is retired; name a version that serves")
    if other.bridged_to is not None:
        fact = f"{other.name} is bridged to {other.bridged_to}, and serves no version of its own"
        raise Refused(f"{fact}: --with {other.bridged_to}", fact=f"{fact}: name {other.bridged_to}")
    return other.stable_version
