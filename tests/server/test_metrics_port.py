"""The port for metrics alone: one path, two methods, and nobody who can hold it up."""

import http.client
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from stage import wait_until

from gatehouse.server.metrics_port import AT_ONCE, HEAD_BYTES, MetricsPort

TEXT = b"gatehouse_up 1\n"


@contextmanager
def serving(render: Callable[[], bytes] = lambda: TEXT, deadline_s: float = 5.0) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener, MetricsPort(listener, render, "text/plain; version=1", deadline_s):
        yield listener.getsockname()[1]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving() as number:
        yield number


def ask(port: int, method: str, target: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, target, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def say(port: int, data: bytes) -> bytes:
    """All that is answered to these bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        line.sendall(data)
        return b"".join(iter(lambda: line.recv(65536), b""))


def test_metrics_are_read_by_get_and_head(port: int) -> None:
    status, headers, body = ask(port, "GET", "/metrics")
    assert (status, body, headers["content-type"]) == (200, TEXT, "text/plain; version=1")
    assert ask(port, "GET", "/metrics?name=x")[0] == 200
    status, headers, body = ask(port, "HEAD", "/metrics")
    assert (status, body, headers["content-length"]) == (200, b"", str(len(TEXT)))


@pytest.mark.parametrize("target", ["/", "/metrics/", "/health", "/v1/predict", "/account", "/openapi.json", "/metricsx"])
def test_every_other_path_is_404(port: int, target: str) -> None:
    assert ask(port, "GET", target)[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "get"])
def test_every_other_method_is_405(port: int, method: str) -> None:
    status, headers, _ = ask(port, method, "/metrics")
    assert (status, headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("said", [b"\r\n\r\n", b"GET /metrics\r\n\r\n", b"GET  /metrics HTTP/1.1\r\n\r\n", b"\xff\x00 x HTTP/3\r\n\r\n"])
def test_what_is_no_request_is_400(port: int, said: bytes) -> None:
    assert say(port, said).startswith(b"HTTP/1.1 400 ")


def test_headers_that_are_too_large_are_431(port: int) -> None:
    assert say(port, b"GET /metrics HTTP/1.1\r\nx: " + b"x" * HEAD_BYTES).startswith(b"HTTP/1.1 431 ")


def test_a_large_answer_is_whole() -> None:
    large = b"# 0123456789abcdef\n" * 200_000
    with serving(lambda: large) as port:
        assert ask(port, "GET", "/metrics")[2] == large


def test_what_cannot_be_read_is_500_and_said_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> bytes:
        raise RuntimeError("secret detail")

    with serving(broken) as port:
        status, _, body = ask(port, "GET", "/metrics")
    assert (status, b"secret" in body) == (500, False)
    assert "could not be read" in caplog.text


def test_a_client_that_says_nothing_or_takes_nothing_is_dropped_at_the_deadline() -> None:
    large = b"x" * 20_000_000
    begun = time.monotonic()
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        MetricsPort(listener, lambda: large, "text/plain", deadline_s=0.2) as served,
    ):
        port = listener.getsockname()[1]
        assert say(port, b"GET /metrics HT") == b""
        with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
            line.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
            wait_until(lambda: served.open == 1)
            wait_until(lambda: served.open == 0, 5)
        assert time.monotonic() - begun < 5


def test_more_connections_than_there_may_be_are_closed_and_the_next_scrape_is_answered() -> None:
    with serving(deadline_s=30) as port:
        held = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(AT_ONCE)]
        for line in held:
            line.sendall(b"GET ")
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            ask(port, "GET", "/metrics")
        for line in held:
            line.close()
        deadline = time.monotonic() + 10
        while True:
            try:
                assert ask(port, "GET", "/metrics")[0] == 200
                break
            except (http.client.RemoteDisconnected, ConnectionResetError):
                assert time.monotonic() < deadline
