"""Networks of keys: one way to write each, compared by address and never by text."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse.errors import Refused
from gatehouse.identity.networks import contains, covers, networks_text, parse_networks, stored_networks


def test_networks_are_kept_in_one_spelling_each_once() -> None:
    written = ["10.0.0.0/8", "192.0.2.7", "2001:DB8:0::/32", "2001:db8::/32", "0.0.0.0/0"]
    parsed = parse_networks(written)
    assert networks_text(parsed) == "10.0.0.0/8 192.0.2.7/32 2001:db8::/32 0.0.0.0/0"
    assert stored_networks(networks_text(parsed)) == parsed
    assert (networks_text(()), stored_networks(None)) == (None, ())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("10.0.0.1/8", "write 10.0.0.0/8"),
        ("2001:db8::1/32", "write 2001:db8::/32"),
        ("10.0.0.0/33", "write it as 10.0.0.0/8"),
        ("10.0.0.0/255.0.0.0", "write a network as"),
        ("10.0.0.0/", "write a network as"),
        ("010.0.0.0/8", "write it as 10.0.0.0/8"),
        ("10.0.0/24", "write it as 10.0.0.0/8"),
        ("167772160", "write it as 10.0.0.0/8"),
        ("::ffff:10.0.0.0/104", "in IPv4 form"),
        ("fe80::1%eth0", "write a network as"),
        ("١٠.0.0.0/8", "write a network as"),
        ("10.0.0.0/8\n", "write a network as"),
        ("", "write a network as"),
        ("office", "write a network as"),
    ],
)
def test_anything_else_is_refused_with_the_right_way(text: str, said: str) -> None:
    with pytest.raises(Refused, match=said.replace(".", r"\.")):
        parse_networks([text])


def test_a_key_has_at_most_as_many_as_its_column_holds() -> None:
    longest = [f"2001:db8:1111:2222:3333:4444:5555:{n:x}/128" for n in range(0x1000, 0x1015)]
    with pytest.raises(Refused, match="at most 20 networks"):
        parse_networks(longest)
    assert len(networks_text(parse_networks(longest[:20])) or "") < 1023


@pytest.mark.parametrize(
    ("address", "held"),
    [
        ("10.255.255.255", True),
        ("11.0.0.0", False),
        ("::ffff:10.1.2.3", True),
        ("::ffff:11.0.0.0", False),
        ("2001:db8:ffff::1", True),
        ("2001:db9::1", False),
        ("fe80::1%eth0", False),
        ("", False),
        ("10.1.2.3:443", False),
        ("localhost", False),
    ],
)
def test_an_address_is_compared_as_an_address(address: str, held: bool) -> None:
    assert contains(parse_networks(["10.0.0.0/8", "2001:db8::/32"]), address) is held


NETWORKS = st.lists(st.ip_addresses().flatmap(lambda ip: st.integers(0, ip.max_prefixlen).map(lambda bits: (ip, bits))), max_size=3).map(
    lambda found: tuple(ipaddress.ip_network((ip, bits), strict=False) for ip, bits in found)
)


@given(NETWORKS, NETWORKS, st.ip_addresses())
def test_what_is_covered_lets_nobody_else_in(
    outer: tuple[ipaddress.IPv4Network, ...], inner: tuple[ipaddress.IPv4Network, ...], ip: object
) -> None:
    if covers(outer, inner) and outer:
        assert inner, "anywhere is wider than any network"
        for address in (str(ip), *(str(network[0]) for network in inner), *(str(network[-1]) for network in inner)):
            assert contains(outer, address) or not contains(inner, address)
    assert covers((), inner)
    assert covers(outer, outer)
