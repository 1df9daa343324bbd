"""Which addresses a notice may go to, held against the standard library's registry."""

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gatehouse.notices.addresses import may_be_called

V4 = st.integers(0, 2**32 - 1).map(IPv4Address)
V6 = st.integers(0, 2**128 - 1).map(IPv6Address)
NETWORKS = ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "198.18.0.0/15")
SPECIAL = st.sampled_from((*NETWORKS, "224.0.0.0/4", "240.0.0.0/4")).flatmap(lambda text: st.ip_addresses(network=text))


@given(V4 | SPECIAL)
@example(IPv4Address("255.255.255.255"))
@example(IPv4Address("0.0.0.0"))
def test_row_97_no_ipv4_address_that_is_not_global_or_is_multicast_is_called(address: IPv4Address) -> None:
    if not address.is_global or address.is_multicast:
        assert not may_be_called(str(address))


@given(V6 | V4.map(lambda v4: IPv6Address(0x2000 << 112 | int(v4))))
def test_row_97_no_ipv6_address_that_is_not_global_or_is_multicast_is_called(address: IPv6Address) -> None:
    if not address.is_global or address.is_multicast or address.is_site_local:
        assert not may_be_called(str(address))


@given(V4)
def test_row_97_no_ipv4_address_is_called_in_the_clothes_of_ipv6(address: IPv4Address) -> None:
    for clothes in ("::ffff:0:0", "64:ff9b::", "64:ff9b:1::", "::"):
        assert not may_be_called(str(IPv6Address(int(IPv6Address(clothes)) | int(address))))
    assert not may_be_called(str(IPv6Address(0x2002 << 112 | int(address) << 80)))


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::1"])
def test_public_addresses_are_called(address: str) -> None:
    assert may_be_called(address)


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "fe80::1", "fe80::1%eth0", "2606:4700::1%1", "fd00:ec2::254", "fc00::1", "::1", "::", "ff02::1", "2001::1",
     "2001:db8::1", "100.64.0.1", "100.127.255.255", "::ffff:8.8.8.8", "192.0.0.170", "localhost", "", "127.1", "0x7f.1"],
)  # fmt: skip
def test_row_97_special_addresses_and_no_addresses_are_not_called(address: str) -> None:
    assert not may_be_called(address)


def test_a_network_that_the_operator_names_is_called_and_its_neighbour_is_not() -> None:
    allowed = (ip_network("10.20.0.0/16"), ip_network("fd12::/16"))
    assert may_be_called("10.20.1.2", allowed)
    assert may_be_called("fd12::1", allowed)
    assert not may_be_called("10.21.0.0", allowed)
    assert not may_be_called("::ffff:10.20.1.2", allowed)
