"""From where a key may be used: CIDR networks, written in the one canonical way."""

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv6Network, ip_address, ip_network

from gatehouse.errors import Refused
from gatehouse.principal import Network

MOST = 20
"""Networks of one key; their text fits the column."""
_CIDR = re.compile(r"[0-9A-Fa-f.:]{2,45}(?:/[0-9]{1,3})?", re.ASCII)
_MAPPED = ip_network("::ffff:0:0/96")


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks as people write them, each once, in their order. Raises Refused."""
    parsed = tuple(dict.fromkeys(_parse(text) for text in texts))
    if len(parsed) > MOST:
        raise Refused(f"a key has at most {MOST} networks; join them into wider ones")
    return parsed


def stored_networks(text: str | None) -> tuple[Network, ...]:
    """What `networks_text` wrote."""
    return tuple(ip_network(each) for each in (text or "").split())


def networks_text(networks: Sequence[Network]) -> str | None:
    """One space between networks; None for anywhere."""
    return " ".join(map(str, networks)) or None


def contains(networks: Sequence[Network], address: str) -> bool:
    """Whether one of the networks holds the address. An IPv4 address in IPv6 form counts as IPv4; a text that is no address is nowhere."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    found = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(found in network for network in networks)


def covers(outer: Sequence[Network], inner: Sequence[Network]) -> bool:
    """Whether `outer` lets in everything that `inner` does; none at all stands for anywhere."""
    if not outer:
        return True
    return bool(inner) and all(any(_within(each, wide) for wide in outer) for each in inner)


def _within(inner: Network, outer: Network) -> bool:
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]  # the versions are the same


def _parse(text: str) -> Network:
    if not _CIDR.fullmatch(text):
        raise Refused("write a network as 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32")
    try:
        network = ip_network(text)
    except ValueError:
        raise Refused(_remedy(text)) from None
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):  # type: ignore[arg-type]
        raise Refused("write an IPv4 network in IPv4 form, as 10.0.0.0/8: callers are compared so")
    return network


def _remedy(text: str) -> str:
    try:
        meant = ip_network(text, strict=False)
    except ValueError:
        return "a network is not an address with a prefix length: write it as 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32"
    return f"a network has bits set behind its prefix length: write {meant}"
