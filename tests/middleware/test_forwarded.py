"""Where a call comes from: only listed proxies are believed, and of what they pass on only their own words."""

from ipaddress import ip_network

import pytest

from gatehouse.middleware.forwarded import MAX_PROXIES, caller_address

PROXY, FARTHER, CALLER = "10.0.0.1", "10.0.0.2", "203.0.113.7"
TRUSTED = [ip_network("10.0.0.0/24"), ip_network("2001:db8:f::/48")]


def address(*fields: str, peer: str = PROXY) -> str:
    return caller_address(peer, [field.encode("latin-1") for field in fields], TRUSTED)


@pytest.mark.parametrize(
    "fields",
    [
        [CALLER],
        [f"  {CALLER}\t"],
        [f"198.51.100.1, {CALLER}"],
        [f"10.0.0.9, {CALLER}"],
        [f"127.0.0.1,unknown,,{CALLER}"],
        ["198.51.100.1", CALLER],
        [f"198.51.100.1, {CALLER}, {FARTHER}"],
        [f"198.51.100.1,{CALLER}", FARTHER, "2001:db8:f::1"],
        [f"{CALLER}:51234"],
        [f"::ffff:{CALLER}"],
        [f"[::ffff:{CALLER}]:443, {FARTHER}:80"],
        ["x" * 60_000 + f",{CALLER}"],
    ],
)
def test_row_107_the_last_hop_that_is_no_proxy_of_ours_is_the_caller(fields: list[str]) -> None:
    assert address(*fields) == CALLER


@pytest.mark.parametrize(
    "field",
    [
        "",
        " ",
        ",",
        "unknown",
        "_hidden",
        f"{CALLER},",
        f"{CALLER} 10.0.0.2",
        f'"{CALLER}"',
        f"for={CALLER}",
        "203.0.113.007",
        "203.0.113",
        "3405803783",
        "0xcb.0.0x71.7",
        "fe80::1%eth0",
        f"{CALLER}/32",
        f"[{CALLER}",
        "٢٠٣.0.113.7".encode().decode("latin-1"),
        f"{CALLER}\x00",
        f"http://{CALLER}",
        ", ".join([CALLER, *["10.0.0.3"] * MAX_PROXIES]),
        ", ".join(["10.0.0.3"] * 5000),
    ],
)
def test_row_107_where_the_proxy_wrote_no_address_it_is_the_proxys_own(field: str) -> None:
    assert address(field) == PROXY


@pytest.mark.parametrize("peer", ["10.0.1.1", "203.0.113.9", "2001:db8:e::1", "", "testclient", "fe80::1%eth0"])
def test_row_107_from_elsewhere_nothing_is_believed(peer: str) -> None:
    assert address("198.51.100.1", peer=peer) == peer


def test_row_107_by_default_nobody_is_believed() -> None:
    assert caller_address("127.0.0.1", [b"198.51.100.1"], ()) == "127.0.0.1"


def test_a_proxy_by_ipv6_or_on_a_socket_for_both_kinds_is_known() -> None:
    assert address(CALLER, peer="2001:db8:f::7") == CALLER
    assert address(CALLER, peer="::ffff:10.0.0.1") == CALLER


def test_a_call_from_within_comes_from_the_farthest_machine() -> None:
    assert address("10.0.0.5, 10.0.0.6") == "10.0.0.5"
