"""Which model version answers whom: the steps from one release to the next, and the share of keys that a canary gets."""

import hashlib
import re
from dataclasses import replace

from gatehouse.errors import Refused
from gatehouse.migration.bridging import check_own_model
from gatehouse.migration.endpoint import Endpoint, api_version_of

_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")


def released(endpoint: Endpoint, version: str) -> Endpoint:
    """`version` serves everybody; a canary ends, and the version before is remembered. Raises Refused."""
    check_servable(endpoint, version)
    previous = endpoint.previous_version if version == endpoint.stable_version else endpoint.stable_version
    return replace(endpoint, stable_version=version, previous_version=previous, canary_version=None, canary_percent=None)


def with_canary(endpoint: Endpoint, version: str, percent: int) -> Endpoint:
    """`version` answers a share of the keys, 1 to 99 %. Raises Refused."""
    check_servable(endpoint, version)
    if version == endpoint.stable_version:
        raise Refused(f"{endpoint.name} is served by {version} already; a canary is another version", member="version")
    if not 1 <= percent <= 99:
        fact = "a canary gets 1 to 99 percent of the keys"
        raise Refused(f"{fact}; without --canary the version gets all of them", fact=fact, member="canary")
    return replace(endpoint, canary_version=version, canary_percent=percent)


def promoted(endpoint: Endpoint) -> Endpoint:
    """The canary serves everybody. Raises Refused."""
    if endpoint.canary_version is None:
        begin = f"gatehouse endpoints release {endpoint.model} {endpoint.api_version} --version VERSION --canary 10"
        raise Refused(f"{endpoint.name} has no canary to promote: {begin}", fact=f"{endpoint.name} has no canary to promote")
    return released(endpoint, endpoint.canary_version)


def rolled_back(endpoint: Endpoint) -> Endpoint:
    """Without the canary, or where there is none, served by the version before. Raises Refused.

    The version that was left is not remembered: a second rollback never brings it back.
    """
    check_own_model(endpoint)
    if endpoint.canary_version is not None:
        return replace(endpoint, canary_version=None, canary_percent=None)
    if endpoint.previous_version is None:
        choose = f"gatehouse endpoints release {endpoint.model} {endpoint.api_version} --version VERSION"
        fact = f"{endpoint.name} remembers no version before {endpoint.stable_version}"
        raise Refused(f"{fact}; name one: {choose}", fact=f"{fact}; release one by its number")
    check_servable(endpoint, endpoint.previous_version)
    return replace(endpoint, stable_version=endpoint.previous_version, previous_version=None)


def check_servable(endpoint: Endpoint, version: str) -> None:
    """Raises Refused for what is no version, one of another major, and for an endpoint that is retired or bridged."""
    if not _VERSION.fullmatch(version):
        remedy = f"write it as {endpoint.stable_version} is written"
        raise Refused(f"{version[:40]!r} is no model version; {remedy}", fact=f"this is no model version; {remedy}", member="version")
    if api_version_of(version) != endpoint.api_version:
        other = f"{endpoint.model}/{api_version_of(version)}"
        raise Refused(f"model version {version} serves {other}, never {endpoint.name}", member="version")
    if endpoint.state == "retired":
        raise Refused(f"{endpoint.name} is retired and serves nothing any more")
    check_own_model(endpoint)


class CanaryShare:
    """Which keys a canary answers: the same ones in every process, those of a smaller share among those of a larger one."""

    def __init__(self, secret: bytes) -> None:
        """`secret` keeps the choice from being worked out by those who hold keys."""
        self._key = hashlib.sha256(b"gatehouse canary share\n" + secret).digest()

    def includes(self, endpoint: Endpoint, key_id: str) -> bool:
        """Whether this key is among the endpoint's `canary_percent`."""
        if endpoint.canary_percent is None:
            return False
        digest = hashlib.blake2b(f"{endpoint.name}/{key_id}".encode(), key=self._key, digest_size=8).digest()
        return int.from_bytes(digest, "big") % 10_000 < endpoint.canary_percent * 100
