"""Where a call comes from: the address that connects, or what trusted proxies say of it in X-Forwarded-For.

`Forwarded` (RFC 7239) and `X-Real-IP` are never read: a proxy that does not write them would pass on a caller's own.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from gatehouse.principal import Network

Networks = Sequence[Network]
MAX_PROXIES = 16
"""One behind the other. Where as many or more are named, none is believed."""
_WITH_PORT = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}")


def caller_address(peer: str, fields: Sequence[bytes], trusted: Networks) -> str:
    """The last address, seen from here, that is no trusted proxy; where all of them are, the farthest.

    `peer` is who connects, `fields` the values of all X-Forwarded-For lines in their order. What stands left of the address
    that is taken may be made up by the caller, so it is never looked at. Where the proxies wrote no address, it is the peer.
    """
    if not trusted or not fields or not _is_among(_address(peer), trusted):
        return peer
    hops = b",".join(fields).decode("latin-1").rsplit(",", MAX_PROXIES)[-MAX_PROXIES:]
    address = None
    for hop in reversed(hops):
        address = _address(hop.strip(" \t"))
        if address is None:
            return peer
        if not _is_among(address, trusted):
            return str(address)
    return peer if address is None or len(hops) == MAX_PROXIES else str(address)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """An address, also with the port that some proxies add; IPv4 inside IPv6 as IPv4. A zone says nothing outside its machine."""
    found = _WITH_PORT.fullmatch(text)
    try:
        address = ip_address((found[1] or found[2]) if found else text)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    return None if address.scope_id else address.ipv4_mapped or address


def _is_among(address: IPv4Address | IPv6Address | None, networks: Networks) -> bool:
    return address is not None and any(address in network for network in networks)
