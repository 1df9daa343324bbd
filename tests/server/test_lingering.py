"""A call that is refused while its body is still being sent: its caller reads the answer, at a bounded cost."""

import json
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest
from estimators import RELEASE, SLOW_SIZE
from stage import IRIS_ROW, Live, Stage, instances, wait_until
from wire import Answer, Wire, head, post, wire

from gatehouse.principal import Plan, Rate
from gatehouse.server.connections import MOST_TURNED_AWAY
from gatehouse.server.lingering import LINGER_BYTES, LINGER_S

PATH = "/v1/models/iris/predict"
GOOD = json.dumps(instances(IRIS_ROW)).encode()
MIB = 1024 * 1024
PART = b" " * 65_536
DEADLINE_S = 0.6
SOON_S = 3.0
"""What a busy machine may add to a deadline."""
ONE_CALL = Plan("one-call", Rate(1, 3600, 1), Rate(1000, 1, 1000), 10**6, "soft", 1000, MIB)


@pytest.fixture(scope="module")
def live(module_stage: Stage) -> Iterator[Live]:
    with module_stage.serving(body_deadline_s="1", docs="off") as running:
        yield running


@pytest.fixture(scope="module")
def key(live: Live) -> str:
    return live.stage.tenant("acme", "iris")


def announced(size: int, *fields: str, path: str = PATH) -> bytes:
    """The head of a prediction whose body has so many bytes."""
    return head(f"POST {path}", "Content-Type: application/json", f"Content-Length: {size}", *fields)


def bearer(key: str) -> str:
    return f"Authorization: Bearer {key}"


def pour(connection: Wire, size: int) -> None:
    """Send so many bytes and look at nothing that comes back, as simple clients do."""
    for _ in range(size // len(PART)):
        connection.socket.sendall(PART)


def read_only_afterwards(live: Live, begun: bytes, size: int) -> Answer:
    """The answer to a call whose caller sends all of its body before it reads."""
    with wire(live.port) as connection:
        connection.send(begun)
        pour(connection, size)
        answer = connection.answer()
        assert answer.header("connection") == "close"
        assert connection.closed()
        return answer


def test_every_refused_status_is_read_by_a_caller_who_sends_its_whole_body_first(live: Live, key: str) -> None:
    stage = live.stage
    spent = stage.tenant("spent", "iris", plan=stage.plan(ONE_CALL))
    with wire(live.port) as connection:
        assert connection.send(post(spent, GOOD)).answer().status == 200
    size = 16 * MIB
    chunked = head(f"POST {PATH}", bearer(key), "Content-Type: application/json", "Transfer-Encoding: chunked")
    refused = {
        "no credential": announced(size),
        "wrong credential": announced(size, bearer("gate_wrong")),
        "another model": announced(size, bearer(key), path="/v1/models/none/predict"),
        "no such path": announced(size, bearer(key), path="/none"),
        "another method": announced(size, bearer(key)).replace(b"POST", b"PUT"),
        "no such method": announced(size, bearer(key)).replace(b"POST", b"LINK"),
        "another media type": announced(size, bearer(key)).replace(b"application/json", b"text/plain"),
        "declared size": announced(100 * MIB, bearer(key)),
        "rate": announced(size, bearer(spent)),
        "upgrade": announced(size, "Upgrade: x", "Connection: upgrade"),
        "two hosts": announced(size, "Host: b"),
        "no chunk": chunked + b"zz\r\n",
        "no HTTP": b"\x16\x03\x01\r\n",
        "headers without end": b"GET / HTTP/1.1\r\nHost: a\r\nX: ",
    }
    statuses = {name: read_only_afterwards(live, begun, size).status for name, begun in refused.items()}
    assert list(statuses.values()) == [401, 401, 404, 404, 405, 405, 415, 413, 429, 400, 400, 400, 400, 431], statuses


def test_the_largest_body_can_be_sent_whole_before_the_answer_is_read(live: Live) -> None:
    assert read_only_afterwards(live, announced(64 * MIB), 64 * MIB).status == 401


def test_a_body_that_is_late_is_told_and_its_rest_thrown_away(live: Live, key: str) -> None:
    wait_until(lambda: not live.app.connections.lingering)
    with wire(live.port) as connection:
        connection.send(announced(32 * MIB, bearer(key)))
        connection.send(b'{"instances": [', b" " * (MIB - 15))
        wait_until(lambda: len(live.app.connections.lingering) == 1)
        pour(connection, 31 * MIB)
        answer = connection.answer()
        assert (answer.status, answer.json()["code"]) == (408, "body_timeout")


def test_what_is_thrown_away_is_bounded_and_takes_no_memory(live: Live) -> None:
    with wire(live.port) as connection:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        connection.send(announced(10**12))
        sent = 0
        while sent < 4 * LINGER_BYTES and dripped(connection, PART):
            sent += len(PART)
        assert LINGER_BYTES <= sent < LINGER_BYTES + 16 * MIB  # what the system holds between the two comes on top
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * 1024
    wait_until(lambda: not live.app.connections.lingering)


@pytest.mark.parametrize("dripping", [False, True])
def test_a_caller_who_does_not_close_is_closed_at_the_deadline(live: Live, dripping: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live.app.connections, "limits", replace(live.app.connections.limits, linger_deadline_s=DEADLINE_S))
    with wire(live.port) as connection:
        begun = time.monotonic()
        assert connection.send(announced(10 * MIB)).answer().status == 401
        assert connection.closed()  # our side; it is held on behind that
        wait_until(lambda: not (dripping and dripped(connection)) and not live.app.connections.lingering, DEADLINE_S + SOON_S)
        assert time.monotonic() - begun >= DEADLINE_S
    wait_until(lambda: live.app.connections.held == len(live.app.connections.silent))


def dripped(connection: Wire, data: bytes = b" ") -> bool:
    """Send this; whether the server still took it."""
    try:
        connection.socket.sendall(data)
    except OSError:
        return False
    return True


def test_a_caller_who_closes_is_forgotten_at_once(live: Live) -> None:
    wait_until(lambda: not live.app.connections.lingering)
    with wire(live.port) as connection:
        assert connection.send(announced(10 * MIB)).answer().status == 401
        wait_until(lambda: len(live.app.connections.lingering) == 1)
    wait_until(lambda: not live.app.connections.lingering, LINGER_S - 2)


def test_an_answered_whole_call_does_not_linger(live: Live, key: str) -> None:
    wait_until(lambda: not live.app.connections.lingering)
    with wire(live.port) as connection:
        assert connection.send(post(key, GOOD, "Connection: close")).answer().status == 200
        assert connection.closed()
        assert not live.app.connections.lingering


def test_a_call_that_expects_100_gets_its_refusal_without_sending_and_is_told_of_the_close(live: Live, key: str) -> None:
    for size in (10, 64 * MIB):  # a small rest would be waited for; such a caller may never send it
        with wire(live.port, timeout=3) as connection:
            answer = connection.send(announced(size, "Expect: 100-continue")).answer()
            assert (answer.status, answer.header("connection")) == (401, "close")
            assert connection.closed()
    with wire(live.port, timeout=3) as connection:
        answer = connection.send(announced(100 * MIB, bearer(key), "Expect: 100-continue")).answer()
        assert (answer.status, answer.header("connection")) == (413, "close")


def test_nothing_behind_a_refused_body_is_taken_for_a_request(live: Live) -> None:
    with wire(live.port) as connection:
        connection.send(announced(200_000))
        connection.send(b" " * 200_000, head("GET /health"))
        assert connection.answer().status == 401
        assert connection.closed()


def test_after_a_small_refused_body_bytes_that_are_no_http_are_told_so(live: Live) -> None:
    with wire(live.port) as connection:
        assert connection.send(announced(10)).answer().status == 401
        assert connection.send(b" " * 10, b"\x00\r\n\r\n").answer().status == 400
        assert connection.closed()


# ------------------------------------------------------------------ how many, and the end


def lingering(live: Live, stack: ExitStack) -> Wire:
    """A connection whose refused caller is still there."""
    before = len(live.app.connections.lingering)
    connection = stack.enter_context(wire(live.port))
    assert connection.send(announced(10 * MIB)).answer().status == 401
    wait_until(lambda: len(live.app.connections.lingering) == before + 1)
    return connection


@pytest.mark.parametrize("limit", ["max_connections", "max_connections_per_address"])
def test_those_that_linger_make_room_first(stage: Stage, limit: str) -> None:
    key = stage.tenant("acme", "iris")
    with stage.serving(**{limit: "3"}) as live, ExitStack() as stack_of:
        live.client.close()
        idle = stack_of.enter_context(wire(live.port))
        assert idle.send(post(key, GOOD)).answer().status == 200
        first, _second = [lingering(live, stack_of) for _ in range(2)]
        newest = stack_of.enter_context(wire(live.port))
        assert newest.send(post(key, GOOD)).answer().status == 200
        assert len(live.app.connections.lingering) == 1
        with pytest.raises(OSError):
            pour(first, 64 * MIB)
        assert idle.send(post(key, GOOD)).answer().status == 200


def test_connections_that_are_turned_away_read_why_and_take_no_place(stage: Stage) -> None:
    RELEASE.clear()
    key = stage.tenant("acme", "slow")
    call = post(key, json.dumps(instances({"size": SLOW_SIZE})).encode(), path="/v1/models/slow/predict")
    with stage.serving(max_connections="1") as live, ExitStack() as stack_of:
        live.client.close()
        busy = stack_of.enter_context(wire(live.port)).send(call)
        wait_until(lambda: live.app.limits.concurrency.all_inside == 1)
        for _ in range(MOST_TURNED_AWAY + 10):
            refused = stack_of.enter_context(wire(live.port))
            refused.send(call)
            assert refused.answer().status == 503
        wait_until(lambda: live.app.connections.held == MOST_TURNED_AWAY + 1)
        RELEASE.set()
        assert busy.answer().status == 200


def test_the_end_of_the_server_waits_for_none_that_linger(stage: Stage) -> None:
    with stage.serving() as live, ExitStack() as stack_of:
        live.client.close()
        connections = [lingering(live, stack_of) for _ in range(3)]
        begun = time.monotonic()
        live.server.should_exit = True
        wait_until(lambda: not live.app.connections.held)
        assert time.monotonic() - begun < LINGER_S / 2
        for connection in connections:
            connection.socket.settimeout(2)
            assert connection.socket.recv(1, socket.MSG_DONTWAIT) == b""
