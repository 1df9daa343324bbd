"""The address of a target, taken apart strictly."""

from ipaddress import ip_network
from urllib.parse import urlsplit

import pytest

from gatehouse.errors import Refused
from gatehouse.notices.target_url import TargetUrl, parse_target

LOOPBACK = (ip_network("127.0.0.0/8"),)


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("https://hooks.example.org", TargetUrl("https", "hooks.example.org", 443, "/")),
        ("https://Hooks.Example.org:8443/a/b?c=%20d", TargetUrl("https", "hooks.example.org", 8443, "/a/b?c=%20d")),
        ("https://hooks.example.org?x=1", TargetUrl("https", "hooks.example.org", 443, "/?x=1")),
        ("https://[2606:4700::1111]:444/x", TargetUrl("https", "2606:4700::1111", 444, "/x")),
        ("https://8.8.8.8/", TargetUrl("https", "8.8.8.8", 443, "/")),
    ],
)
def test_a_url_is_taken_apart_as_the_standard_library_does(text: str, taken: TargetUrl) -> None:
    assert parse_target(text, ()) == taken
    other = urlsplit(text)
    assert (taken.host, taken.port) == (other.hostname, other.port or 443)


def test_the_host_header_names_a_port_that_is_not_usual() -> None:
    assert parse_target("https://a.example:443/", ()).authority == "a.example"
    assert parse_target("https://a.example:8443/", ()).authority == "a.example:8443"
    assert parse_target("https://[2606:4700::1]:8443/secret", ()).origin == "https://[2606:4700::1]:8443"


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("http://hooks.example.org/", "https:// alone"),
        ("ftp://hooks.example.org/", "write the URL as https://"),
        ("hooks.example.org", "write the URL as https://"),
        ("https://", "write the URL as https://"),
        ("https://user:pass@hooks.example.org/", "no user or password"),
        ("https://hooks.example.org/#part", "without spaces, # and"),
        ("https://hooks.example.org/a b", "without spaces"),
        ("https://hooks.example.org/\r\nX: y", "without spaces"),
        ("https://hooks.example.org\\@evil.example/", "no user or password"),
        ("https://hooks.example.org:0/", "write the URL as https://"),
        ("https://hooks.example.org:65536/", "write the URL as https://"),
        ("https://bücher.example/", "xn--"),
        ("https://[::1]/", "is no public address"),
        ("https://[:::]/", "write the URL as https://"),
        ("https://10.0.0.1/", "GATEHOUSE_NOTICES_NETWORKS"),
        ("https://169.254.169.254/latest", "is no public address"),
        ("https://a.example/" + "x" * 1023, "write the URL as https://"),
    ],
)
def test_row_97_any_other_url_is_refused_with_a_remedy(text: str, remedy: str) -> None:
    with pytest.raises(Refused, match=remedy.replace("\\", "\\\\")) as refused:
        parse_target(text, ())
    assert "\n" not in str(refused.value)


def test_http_is_taken_where_networks_are_allowed() -> None:
    assert parse_target("http://127.0.0.1:8080/x", LOOPBACK).port == 8080
    with pytest.raises(Refused, match="is no public address"):
        parse_target("http://10.0.0.1/", LOOPBACK)
