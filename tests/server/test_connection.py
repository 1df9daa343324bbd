"""Connections at the wire: headers, silence and unread answers have deadlines, and a caller has only so many connections."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from estimators import RELEASE, SLOW_SIZE
from stage import IRIS_ROW, Live, Stage, instances, wait_until
from wire import Wire, post, wire

GOOD = json.dumps(instances(IRIS_ROW)).encode()
HEAD_S, IDLE_S = 0.6, 1.2
SOON_S = 1.5
"""What a busy machine may add to a deadline."""
LARGE = json.dumps({"columns": list(IRIS_ROW), "data": [list(IRIS_ROW.values())] * 100_000}).encode()
"""Its answer is larger than what the system keeps for a caller that does not read."""


@pytest.fixture(scope="module")
def live(module_stage: Stage) -> Iterator[Live]:
    with module_stage.serving(head_deadline_s=str(HEAD_S), idle_deadline_s=str(IDLE_S)) as running:
        yield running


@pytest.fixture(scope="module")
def key(live: Live) -> str:
    return live.stage.tenant("acme", "iris", "slow")


@contextmanager
def dripped(connection: Wire, data: bytes, pause_s: float = 0.04) -> Iterator[None]:
    """Send byte by byte until the server answers or closes; what the server says is read afterwards."""
    connection.send_while_taken((each for each in pieces(data, pause_s)), at_most=len(data))
    yield


def pieces(data: bytes, pause_s: float) -> Iterator[bytes]:
    for n in range(len(data)):
        time.sleep(pause_s)  # the drip itself
        yield data[n : n + 1]


# ------------------------------------------------------------------ 53: headers


def is_late(connection: Wire) -> bool:
    answer = connection.answer()
    assert (answer.status, answer.json()["code"], answer.header("connection")) == (408, "headers_timeout", "close")
    return connection.closed()


@pytest.mark.parametrize("sent", [b"P", b"POST /v1/models/iris/predict HTTP/1.1\r\nHost: a\r\nX-"])
def test_row_53_headers_that_do_not_end_are_408_at_the_deadline(live: Live, sent: bytes) -> None:
    begun = time.monotonic()
    with wire(live.port) as connection:
        assert is_late(connection.send(sent))
    assert HEAD_S <= time.monotonic() - begun < HEAD_S + SOON_S


@pytest.mark.parametrize("kept", [False, True], ids=["first request", "second request"])
def test_row_53_dripping_headers_have_one_deadline_for_the_whole(live: Live, key: str, kept: bool) -> None:
    with wire(live.port) as connection:
        if kept:
            assert connection.send(post(key, GOOD)).answer().status == 200
        begun = time.monotonic()
        with dripped(connection, post(key, GOOD)):
            assert is_late(connection)
        assert HEAD_S <= time.monotonic() - begun < HEAD_S + SOON_S


def test_row_53_late_headers_behind_a_call_under_way_are_answered_after_it(live: Live, key: str) -> None:
    RELEASE.clear()
    with wire(live.port) as connection:
        connection.send(post(key, json.dumps(instances({"size": SLOW_SIZE})).encode(), path="/v1/models/slow/predict"), b"GET /")
        wait_until(lambda: live.app.limits.concurrency.all_inside == 1 and len(live.app.connections.heads) == 1)
        wait_until(lambda: not live.app.connections.heads)
        RELEASE.set()
        assert connection.answer().status == 200
        assert is_late(connection)


def test_headers_in_two_parts_and_calls_without_a_pause_meet_no_deadline(live: Live, key: str) -> None:
    whole = post(key, GOOD)
    ends_at = time.monotonic() + HEAD_S + 0.4
    with wire(live.port) as connection:
        while time.monotonic() < ends_at:
            connection.send(whole[:40])
            assert connection.send(whole[40:]).answer().status == 200
    assert not live.app.connections.heads


def test_row_52_headers_without_an_end_are_431_before_the_deadline(live: Live) -> None:
    with wire(live.port) as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
        sent = connection.send_while_taken((b"X-%d: %b\r\n" % (n, b"a" * 1000) for n in range(1000)), at_most=600_000)
        assert sent >= 60_000
        assert b" 431 " in connection.socket.recv(100)


NO_HTTP = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"\x00" * 10,
    b"GET\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\xff" * 100_000,
]
NO_HTTP += [b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", b"GET / HTTP/1.1\r\n Folded: a\r\n\r\n"]


@pytest.mark.parametrize("sent", NO_HTTP)
def test_row_79_bytes_that_are_no_http_get_one_problem_document_and_the_connection_ends(live: Live, sent: bytes) -> None:
    with wire(live.port) as connection:
        answer = connection.send(sent).answer()
        assert (answer.status, answer.json()["code"], answer.header("connection")) == (400, "malformed_request", "close")
        assert answer.header("x-content-type-options") == "nosniff"
        assert connection.closed()


def test_row_79_calls_before_the_bad_bytes_are_answered_first_and_none_behind_them(live: Live, key: str) -> None:
    with wire(live.port) as connection:
        connection.send(post(key, GOOD), post(key, GOOD), b"\x00 bad \r\n\r\n", post(key, GOOD))
        assert [connection.answer().status for _ in range(3)] == [200, 200, 400]
        assert connection.closed()


# ------------------------------------------------------------------ 53: silence


@pytest.mark.parametrize("dripping", [b"", b"\r\n" * 200], ids=["nothing", "empty lines"])
@pytest.mark.parametrize("kept", [False, True], ids=["no request yet", "after a call"])
def test_row_53_a_connection_without_a_request_is_closed_at_the_deadline(live: Live, key: str, kept: bool, dripping: bytes) -> None:
    with wire(live.port) as connection:
        if kept:
            assert connection.send(post(key, GOOD)).answer().status == 200
        begun = time.monotonic()
        connection.send_while_taken(pieces(dripping, 0.02), at_most=len(dripping))
        assert connection.closed()
        assert IDLE_S - 0.1 <= time.monotonic() - begun < IDLE_S + SOON_S


def test_row_53_the_rest_of_a_refused_body_cannot_be_dripped_for_ever(live: Live) -> None:
    with wire(live.port) as connection:
        connection.send(post("gate_wrong", b" " * 60_000)[:300])
        assert connection.answer().status == 401
        connection.send_while_taken(pieces(b" " * 500, 0.02), at_most=400)
        assert connection.closed()


def test_row_53_a_connection_with_a_call_under_way_is_not_silent(live: Live, key: str) -> None:
    RELEASE.clear()
    with wire(live.port) as connection:
        connection.send(post(key, json.dumps(instances({"size": SLOW_SIZE})).encode(), path="/v1/models/slow/predict"))
        time.sleep(IDLE_S + 0.6)  # longer than a silence may be
        RELEASE.set()
        assert connection.answer().status == 200


@pytest.mark.parametrize("fields", [(), ("Connection: close",)], ids=["kept", "closing"])
def test_row_53_an_answer_that_nobody_takes_ends_its_connection(live: Live, key: str, fields: tuple[str, ...]) -> None:
    with narrow(live) as connection:
        connection.send(post(key, LARGE, *fields))
        wait_until(lambda: unsent(live) > 0)
        wait_until(lambda: unsent(live) == 0)
        with pytest.raises((ConnectionResetError, AssertionError, json.JSONDecodeError)):
            connection.answer().json()


def test_an_answer_that_is_taken_slowly_comes_whole(live: Live, key: str) -> None:
    with narrow(live) as connection:
        connection.send(post(key, LARGE))
        wait_until(lambda: unsent(live) > 0)
        received = b""
        ends_at = time.monotonic() + 4 * IDLE_S
        while time.monotonic() < ends_at:  # what is taken here is too little for the system to want more of the answer
            received += connection.socket.recv(2000)
            time.sleep(0.1)  # the slow caller
        while b"\r\n\r\n" not in received or not received.rstrip().endswith(b"]}"):
            more = connection.socket.recv(1 << 20)
            assert more, f"ended after {len(received)} bytes"
            received += more
        assert len(json.loads(received.partition(b"\r\n\r\n")[2])["predictions"]) == 100_000


def unsent(live: Live) -> int:
    """Bytes of answers that callers have not taken."""
    return sum(each.transport.get_write_buffer_size() for each in list(live.app.connections.silent))


@contextmanager
def narrow(live: Live) -> Iterator[Wire]:
    """A caller with room for little that it has not read."""
    connection = Wire.__new__(Wire)
    connection.socket = socket.socket()
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    connection.socket.settimeout(20)
    connection.socket.connect(("127.0.0.1", live.port))
    connection._reader = connection.socket.makefile("rb")
    try:
        yield connection
    finally:
        connection.close()


# --------------------------------------------------- how many: 55, 102 and idle ones


def call_slowly(key: str) -> bytes:
    return post(key, json.dumps(instances({"size": SLOW_SIZE})).encode(), path="/v1/models/slow/predict")


def test_row_55_an_address_has_its_connections_and_its_longest_idle_one_makes_room(stage: Stage) -> None:
    key = stage.tenant("acme", "iris")
    with stage.serving(max_connections_per_address="3") as live, ExitStack() as stack:
        live.client.close()
        first, second, third = [stack.enter_context(wire(live.port)) for _ in range(3)]
        for connection in (second, third, first):
            assert connection.send(post(key, GOOD)).answer().status == 200
        fourth = stack.enter_context(wire(live.port))
        assert fourth.send(post(key, GOOD)).answer().status == 200
        assert second.closed()
        for connection in (first, third, fourth):
            assert connection.send(post(key, GOOD)).answer().status == 200
        assert live.app.connections.held == 3


@pytest.mark.parametrize("limit", ["max_connections", "max_connections_per_address"])
def test_row_55_a_call_under_way_never_makes_room_and_the_new_connection_is_told(stage: Stage, limit: str) -> None:
    RELEASE.clear()
    key = stage.tenant("acme", "slow")
    with stage.serving(**{limit: "2"}) as live, ExitStack() as stack:
        live.client.close()
        busy = [stack.enter_context(wire(live.port)).send(call_slowly(key)) for _ in range(2)]
        wait_until(lambda: live.app.limits.concurrency.all_inside == 2)
        with wire(live.port) as refused:
            answer = refused.answer()
            assert (answer.status, answer.json()["code"], answer.header("retry-after")) == (503, "overloaded", "1")
            assert refused.closed()
        RELEASE.set()
        assert [connection.answer().status for connection in busy] == [200, 200]
        with wire(live.port) as after:
            assert after.send(call_slowly(key)).answer().status == 200


def test_row_55_a_proxy_that_is_trusted_has_no_limit_of_its_own_and_unfinished_headers_make_room_last(stage: Stage) -> None:
    key = stage.tenant("acme", "iris")
    with stage.serving(max_connections="4", max_connections_per_address="1", trusted_proxies="127.0.0.1") as live, ExitStack() as stack:
        live.client.close()
        dripping = [stack.enter_context(wire(live.port)).send(b"GET") for _ in range(3)]
        wait_until(lambda: len(live.app.connections.heads) == 3)
        idle, last = [stack.enter_context(wire(live.port)) for _ in range(2)]
        assert idle.closed()
        assert last.send(post(key, GOOD)).answer().status == 200
        last.send(b"GET")
        wait_until(lambda: len(live.app.connections.heads) == 4)
        with wire(live.port) as newest:
            assert newest.send(post(key, GOOD)).answer().status == 200
        assert dripping[0].closed()


def idle_connections(stage: Stage, count: int) -> None:
    key = stage.tenant("acme", "iris")
    with stage.serving(max_connections=str(count), max_connections_per_address=str(count * 2)) as live, ExitStack() as stack:
        live.client.close()
        idle = [stack.enter_context(wire(live.port)) for _ in range(count)]
        wait_until(lambda: live.app.connections.held == count)
        with wire(live.port) as caller:
            for _ in range(50):
                assert caller.send(post(key, GOOD)).answer().status == 200
        assert idle[0].closed()
        assert idle[-1].send(post(key, GOOD)).answer().status == 200
        assert live.app.connections.held <= count


def test_rows_53_and_102_hundreds_of_idle_connections_stop_no_caller(stage: Stage) -> None:
    idle_connections(stage, 300)


@pytest.mark.soak
def test_rows_53_and_102_five_thousand_idle_connections_stop_no_caller(stage: Stage) -> None:
    idle_connections(stage, 5_000)
