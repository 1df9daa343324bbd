"""Which addresses a notice may be sent to: public ones, and those of networks that the operator allows."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from gatehouse.principal import Network

REFUSED_IPV4 = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # shared by a provider's customers (CGNAT)
            "127.0.0.0/8",  # loopback
            "169.254.0.0/16",  # link-local, where clouds keep their metadata
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation
            "192.31.196.0/24",  # AS112
            "192.52.193.0/24",  # AMT
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",  # private
            "192.175.48.0/24",  # AS112
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, broadcast
        ),
    )
)
"""IANA's registry of special addresses (RFC 6890 and its updates)."""
PUBLIC_IPV6 = ip_network("2000::/3")
"""All that is assigned. What embeds an IPv4 address elsewhere (::ffff:0:0/96, 64:ff9b::/96, ::/96) is outside of it."""
REFUSED_IPV6 = tuple(
    map(
        ip_network,
        (
            "2001::/23",  # protocol assignments, Teredo with them
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4 embeds any IPv4 address
            "2620:4f:8000::/48",  # AS112
            "3fff::/20",  # documentation
        ),
    )
)


def may_be_called(address: str, allowed: Sequence[Network] = ()) -> bool:
    """Whether `address` is public or in an allowed network. A text that is no address is not."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return is_allowed(parsed, allowed) or _is_public(parsed)


def is_allowed(address: IPv4Address | IPv6Address, allowed: Sequence[Network]) -> bool:
    """Whether the operator has named its network."""
    return any(address in network for network in allowed)


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in REFUSED_IPV4)
    return address in PUBLIC_IPV6 and address.scope_id is None and not any(address in network for network in REFUSED_IPV6)
