"""Framing and the body limit at the wire: Host, control characters, absolute form, keep-alive after a refusal."""

import json
from collections.abc import Iterator

import pytest
from stage import IRIS_ROW, Live, Stage, instances
from wire import head, post, wire

GOOD = json.dumps(instances(IRIS_ROW)).encode()


@pytest.fixture(scope="module")
def live(module_stage: Stage) -> Iterator[Live]:
    with module_stage.serving(body_deadline_s="5") as running:
        yield running


@pytest.fixture(scope="module")
def key(live: Live) -> str:
    return live.stage.tenant("acme", "iris")


HOSTS = ["", "a b", "a/b", "a,b", "user@host", "host:port", "host:123456", "[::1", "host?x", "-leading", "host\\x", "<b>"]


@pytest.mark.parametrize("host", HOSTS)
def test_row_80_a_host_that_is_no_host_name_is_400(live: Live, host: str) -> None:
    with wire(live.port) as connection:
        answer = connection.send(f"GET /health HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()).answer("GET")
    assert answer.status == 400


@pytest.mark.parametrize("fields", ["", "Host: a\r\nHost: a\r\n", "Host: a\r\nHost: b\r\n"], ids=["missing", "doubled", "two"])
def test_row_80_a_request_has_one_host(live: Live, fields: str) -> None:
    with wire(live.port) as connection:
        answer = connection.send(f"GET /health HTTP/1.1\r\n{fields}\r\n".encode()).answer("GET")
    assert (answer.status, answer.json()["code"]) == (400, "malformed_request")


@pytest.mark.parametrize("host", ["a", "api.example.org:443", "127.0.0.1:8000", "[::1]:8000", "my_host"])
def test_ordinary_hosts_are_fine(live: Live, host: str) -> None:
    with wire(live.port) as connection:
        assert connection.send(f"GET /health HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()).answer("GET").status == 200


def test_http_1_0_needs_no_host_and_is_closed(live: Live) -> None:
    with wire(live.port) as connection:
        assert connection.send(b"GET /health HTTP/1.0\r\n\r\n").answer("GET").status == 200
        assert connection.closed()


def test_row_80_the_absolute_form_changes_no_right(live: Live, key: str) -> None:
    with wire(live.port) as connection:
        assert connection.send(head("GET http://evil.invalid/account")).answer("GET").status == 401
        answer = connection.send(head("GET http://evil.invalid/account", f"Authorization: Bearer {key}")).answer("GET")
        assert answer.status == 200
        assert b"evil.invalid" not in answer.body


@pytest.mark.parametrize("character", ["\x01", "\x08", "\x0b", "\x1b", "\x7f"])
def test_a_control_character_in_a_header_is_400(live: Live, character: str) -> None:
    with wire(live.port) as connection:
        assert connection.send(head("GET /health", f"X-Odd: a{character}b")).answer("GET").status == 400


@pytest.mark.parametrize(
    "fields",
    [
        ("Content-Length: 5", "Transfer-Encoding: chunked"),
        ("Content-Length: 5", "Content-Length: 6"),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
    ],
)
def test_row_79_framing_that_can_be_read_in_two_ways_is_400_and_closed(live: Live, key: str, fields: tuple[str, ...]) -> None:
    with wire(live.port) as connection:
        connection.send(
            head("POST /v1/models/iris/predict", f"Authorization: Bearer {key}", "Content-Type: application/json", *fields), b"0\r\n\r\n"
        )
        assert connection.answer().status == 400
        assert connection.closed()


def test_chunks_of_any_size_make_one_body(live: Live, key: str) -> None:
    chunks = b"".join(b"1;name=value\r\n%c\r\n" % byte for byte in GOOD) + b"0\r\nX-Trailer: 1\r\n\r\n"
    request = head(
        "POST /v1/models/iris/predict", f"Authorization: Bearer {key}", "Content-Type: application/json", "Transfer-Encoding: chunked"
    )
    with wire(live.port) as connection:
        assert connection.send(request, chunks).answer().status == 200
        assert connection.send(post(key, GOOD)).answer().status == 200


def test_expect_100_continue_is_answered_only_when_the_body_is_wanted(live: Live, key: str) -> None:
    with wire(live.port, timeout=3) as connection:
        whole = post(key, GOOD, "Expect: 100-continue")
        connection.send(whole[: -len(GOOD)])
        assert connection.answer().status == 100
        assert connection.send(GOOD).answer().status == 200
        connection.send(post("gate_wrong", GOOD, "Expect: 100-continue")[: -len(GOOD)])
        assert connection.answer().status == 401


@pytest.mark.parametrize("size", [10, 60_000])
def test_a_small_body_that_is_refused_unread_leaves_the_connection_usable(live: Live, key: str, size: int) -> None:
    with wire(live.port) as connection:
        for _ in range(3):
            assert connection.send(post("gate_wrong", b" " * size)).answer().status == 401
        assert connection.send(post(key, GOOD)).answer().status == 200


def test_a_large_body_that_is_refused_unread_costs_the_connection(live: Live) -> None:
    with wire(live.port) as connection:
        connection.send(post("gate_wrong", b" " * 70_000)[:500])
        answer = connection.answer()
        assert (answer.status, answer.header("connection")) == (401, "close")
        assert connection.closed()
