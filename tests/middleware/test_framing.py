"""Framing and the body limit at the wire: Host, control characters, absolute form, keep-alive after a refusal."""

import json
from collections.abc import Iterator

import pytest
from sqlmodel import select
from stage import IRIS_ROW, Live, Stage, instances, key_id, wait_until
from wire import Answer, head, post, wire

from gatehouse.db.tables import UsageEventTable
from gatehouse.middleware.allowed_hosts import AllowedHosts

GOOD = json.dumps(instances(IRIS_ROW)).encode()


@pytest.fixture(scope="module")
def live(module_stage: Stage) -> Iterator[Live]:
    with module_stage.serving(body_deadline_s="5") as running:
        yield running


@pytest.fixture(scope="module")
def key(live: Live) -> str:
    return live.stage.tenant("acme", "iris")


def begun(key: str, *fields: str) -> bytes:
    """The head of a prediction whose body is framed by `fields`."""
    return head("POST /v1/models/iris/predict", f"Authorization: Bearer {key}", "Content-Type: application/json", *fields)


PORTS = ["host:port", "host:123456", "host::", ":", ":80"]
HOSTS = ["", "a b", "a/b", "a,b", "user@host", "[::1", "host?x", "-leading", "host\\x", "<b>", *PORTS]


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


@pytest.mark.parametrize("host", ["a", "api.example.org:443", "127.0.0.1:8000", "[::1]:8000", "my_host", "localhost:", "[::1]:"])
def test_ordinary_hosts_are_well_formed(live: Live, host: str) -> None:
    with wire(live.port) as connection:
        assert connection.send(f"GET /health HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()).answer("GET").status == 200


NAMES = ["gatehouse.test", "GateHouse.Test:8000", "GateHouse.Test:", "gatehouse.test.", "deep.below.test"]
ALLOWED = [*NAMES, "localhost:1", "localhost:", "10.1.2.3", "[2001:db8::7]:443", "[2001:db8::7]:"]


@pytest.mark.parametrize("host", ALLOWED)
def test_row_80_a_listed_name_in_any_spelling_localhost_and_addresses_are_allowed(live: Live, key: str, host: str) -> None:
    assert addressed(live, key, host).status == 200


NO_ADDRESSES = ["10.1.2", "[::1::]", "[..]"]
FOREIGN = ["elsewhere.example", "elsewhere.example:", "test", "xtest", "gatehouse.test.example", "localhost.example", *NO_ADDRESSES]


@pytest.mark.parametrize("host", FOREIGN)
def test_row_80_another_host_is_400_before_the_credential_and_is_not_repeated(live: Live, key: str, host: str) -> None:
    for credential in (key, "gate_wrong"):
        answer = addressed(live, credential, host)
        assert (answer.status, answer.json()["code"]) == (400, "malformed_request")
        assert "GATEHOUSE_ALLOWED_HOSTS" in answer.json()["detail"]
        assert host.encode() not in answer.body


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
def test_probes_may_use_any_well_formed_name(live: Live, path: str) -> None:
    with wire(live.port) as connection:
        assert connection.send(f"GET {path} HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n".encode()).answer("GET").status == 200
        assert connection.send(f"GET {path} HTTP/1.1\r\nHost: a b\r\n\r\n".encode()).answer("GET").status == 400


@pytest.mark.parametrize("listed", ["api.example.org.", "*.Example.org."])
def test_row_80_a_name_that_is_listed_with_its_last_dot_is_allowed(listed: str) -> None:
    allowed = AllowedHosts([listed], 8000)
    for host in (b"api.example.org", b"api.example.org.", b"API.example.org:8000"):
        allowed.check(host, "/v1/models")


def test_row_80_the_host_of_the_public_url_is_allowed_and_a_star_allows_all(stage: Stage) -> None:
    key = stage.tenant("acme", "iris")
    with stage.serving(public_url="https://api.example.org:8443/ml", allowed_hosts="") as live:
        statuses = [
            addressed(live, key, host).status for host in ("api.example.org", "api.example.org:8443", "gatehouse.test", "example.org")
        ]
        assert statuses == [200, 200, 400, 400]
    with stage.serving(allowed_hosts="*") as live:
        assert addressed(live, key, "elsewhere.example").status == 200
        assert addressed(live, key, "a b").status == 400


def addressed(live: Live, key: str, host: str, target: str = "/account", version: str = "HTTP/1.1") -> Answer:
    """The answer to a call of /account with this Host."""
    with wire(live.port) as connection:
        fields = f"Host: {host}\r\nAuthorization: Bearer {key}\r\nConnection: close"
        return connection.send(f"GET {target} {version}\r\n{fields}\r\n\r\n".encode()).answer("GET")


ABSOLUTE = ["http://elsewhere.example/account", "http://elsewhere.example:80/account", "HTTPS://elsewhere.example/account"]
ABSOLUTE += ["http://user@gatehouse.test/account", "http:///account", "http://elsewhere.example?/account"]


@pytest.mark.parametrize("target", ABSOLUTE)
def test_row_80_the_absolute_form_is_judged_by_its_own_host(live: Live, key: str, target: str) -> None:
    assert addressed(live, key, "gatehouse.test", target).status == 400


def test_row_80_the_absolute_form_of_an_allowed_host_is_served_and_still_needs_one_host_header(live: Live, key: str) -> None:
    assert addressed(live, key, "elsewhere.example", "http://gatehouse.test/account").status == 200
    with wire(live.port) as connection:
        assert connection.send(b"GET http://gatehouse.test/account HTTP/1.1\r\n\r\n").answer("GET").status == 400


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


def test_row_79_a_length_of_thousands_of_digits_is_400_and_closed(live: Live) -> None:
    with wire(live.port) as connection:
        answer = connection.send(head("POST /v1/models/iris/predict", "Content-Length: " + "0" * 5000 + "9")).answer()
        assert (answer.status, answer.json()["code"]) == (400, "malformed_request")


@pytest.mark.parametrize("fields", [("Upgrade: websocket", "Connection: upgrade"), ("Upgrade: websocket",)])
def test_row_80_no_host_beside_an_upgrade_is_400_and_closed(live: Live, fields: tuple[str, ...]) -> None:
    with wire(live.port) as connection:
        connection.send("\r\n".join(["GET /health HTTP/1.1", *fields, "", ""]).encode())
        assert connection.answer("GET").status == 400
        assert connection.closed()


@pytest.mark.parametrize("coding", ["gzip, chunked", "chunked, chunked", "identity", "gzip", "chunked, gzip", "x", "", "\tchunked;q=1"])
def test_row_81_a_transfer_coding_other_than_chunked_is_400_and_closed(live: Live, key: str, coding: str) -> None:
    with wire(live.port) as connection:
        connection.send(begun(key, f"Transfer-Encoding: {coding}"), b"%x\r\n%b\r\n0\r\n\r\n" % (len(GOOD), GOOD))
        answer = connection.answer()
        assert (answer.status, answer.json()["code"], answer.header("connection")) == (400, "malformed_request", "close")
        assert connection.closed()


def test_row_81_http_1_0_has_no_transfer_coding(live: Live, key: str) -> None:
    with wire(live.port) as connection:
        connection.send(begun(key, "Transfer-Encoding: chunked").replace(b"HTTP/1.1", b"HTTP/1.0"), b"0\r\n\r\n")
        assert connection.answer().status == 400
        assert connection.closed()


VERSIONS = ["HTTP/2.0", "HTTP/0.9", "HTTP/1.2", "HTTP/3", "HTTP/1.10", "http/1.1", "HTTPS/1.1", ""]
VERSIONS += [
    "RTSP/1.0",
    "RTSP/1.1",
    "ICE/1.0",
    "HTTP/1.9",
    "HTTP/1.1 ",
    "HTTP/1.1\t",
    "HTTP /1.1",
    "HTTP/01.1",
    "HTTP/1.1.1",
    "HTTP/+1.1",
    "XTTP/1.1",
]


@pytest.mark.parametrize("version", VERSIONS)
def test_row_81_a_version_other_than_1_0_and_1_1_is_400_and_closed(live: Live, key: str, version: str) -> None:
    with wire(live.port) as connection:
        connection.send(f"GET /account {version}\r\nHost: a\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
        answer = connection.answer("GET")
        assert (answer.status, answer.json()["code"], answer.header("connection")) == (400, "malformed_request", "close")
        assert connection.closed()


@pytest.mark.parametrize("line", ["POST /account RTSP/1.1", "OPTIONS * RTSP/1.0", "SOURCE /account ICE/1.0", "GET  /account RTSP/1.0"])
@pytest.mark.parametrize("cut", [0, 3, 15, -6, -1], ids=lambda place: f"cut at {place}")
def test_row_81_another_protocol_is_400_however_its_line_comes_and_behind_a_call(live: Live, key: str, line: str, cut: int) -> None:
    sent = f"{line}\r\nHost: a\r\nContent-Length: 0\r\n\r\n".encode()
    place = cut if cut >= 0 else len(line) + cut
    with wire(live.port) as connection:
        connection.send(post(key, GOOD) + sent[:place])
        assert connection.answer().status == 200
        answer = connection.send(sent[place:]).answer()
        assert (answer.status, answer.json()["code"], answer.header("connection")) == (400, "malformed_request", "close")
        assert connection.closed()


def test_headers_in_many_parts_that_speak_of_other_protocols_are_http(live: Live, key: str) -> None:
    request = post(key, GOOD, "X-Via: /v1/models RTSP/1.0", "X-Long: " + "a" * 5000)
    with wire(live.port) as connection:
        for place in range(0, len(request), 700):
            connection.send(request[place : place + 700])
        assert connection.answer().status == 200


BAD_CHUNKS = [
    b"x\r\n",
    b"5\r\n{}\r\n0\r\n\r\nxxxxxxxx",
    b"-1\r\n",
    b"1 \r\n{\r\n",
    b"fffffffffffffffff\r\n",
    b"2\n{}\n0\n\n",
    b"0x2\r\n{}\r\n",
]


@pytest.mark.parametrize("chunks", BAD_CHUNKS)
def test_row_79_a_bad_chunk_gets_one_400_and_the_connection_ends(live: Live, key: str, chunks: bytes) -> None:
    with wire(live.port) as connection:
        connection.send(begun(key, "Transfer-Encoding: chunked"), b"%x\r\n%b\r\n" % (len(GOOD), GOOD), chunks)
        answer = connection.answer()
        assert (answer.status, answer.json()["code"], answer.header("connection")) == (400, "malformed_request", "close")
        assert connection.closed()


def test_row_79_a_bad_chunk_is_a_refused_call_of_its_caller_and_scores_nothing(live: Live) -> None:
    key = live.stage.tenant("chunky", "iris")
    with wire(live.port) as connection:
        connection.send(begun(key, "Transfer-Encoding: chunked"))
        connection.send(b"%x\r\n%b\r\n" % (len(GOOD), GOOD))
        wait_until(lambda: live.app.limits.concurrency.all_inside == 1)
        assert connection.send(b"zz\r\n").answer().status == 400
    wait_until(lambda: live.app.limits.concurrency.all_inside == 0)

    def used() -> list[tuple[int, int]]:
        with live.stage.database.read() as session:
            return [(row.status, row.rows) for row in session.exec(select(UsageEventTable)) if row.key_id == key_id(key)]

    wait_until(lambda: used() == [(400, 0)])


def test_chunks_of_any_size_make_one_body(live: Live, key: str) -> None:
    chunks = b"".join(b"1;name=value\r\n%c\r\n" % byte for byte in GOOD) + b"0\r\nX-Trailer: 1\r\n\r\n"
    request = head(
        "POST /v1/models/iris/predict", f"Authorization: Bearer {key}", "Content-Type: application/json", "Transfer-Encoding: chunked"
    )
    with wire(live.port) as connection:
        assert connection.send(request, chunks).answer().status == 200
        assert connection.send(post(key, GOOD)).answer().status == 200


def test_row_79_fields_behind_a_chunked_body_are_no_headers(live: Live, key: str) -> None:
    body = b"%x\r\n%b\r\n0\r\n" % (len(GOOD), GOOD)
    nobody = head("POST /v1/models/iris/predict", "Content-Type: application/json", "Transfer-Encoding: chunked")
    with wire(live.port) as connection:
        answer = connection.send(nobody, body + b"Authorization: Bearer " + key.encode() + b"\r\n\r\n").answer()
        assert (answer.status, answer.json()["code"]) == (401, "credential_missing")
    late = b"Host: evil.example\r\nAuthorization: Bearer x\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n"
    with wire(live.port) as connection:
        assert connection.send(begun(key, "Transfer-Encoding: chunked"), body + late).answer().status == 200
        assert connection.send(post(key, GOOD)).answer().status == 200


@pytest.mark.parametrize("endless", [b"0\r\nX-A: ", b"0\r\n", b"1;x="], ids=["a field", "fields", "an extension"])
def test_row_79_what_brings_no_body_has_a_bound(live: Live, key: str, endless: bytes) -> None:
    part = b"X-A: b\r\n" * 500 if endless == b"0\r\n" else b"a" * 4000
    with wire(live.port) as connection:
        connection.send(begun(key, "Transfer-Encoding: chunked"), endless)
        connection.send_while_taken((part for _ in range(1000)), at_most=1_000_000)
        answer = connection.answer()
        assert (answer.status, answer.json()["detail"]) == (400, "The body is not framed as its headers say.")


def test_empty_chunked_bodies_behind_their_heads_never_meet_that_bound(live: Live, key: str) -> None:
    with wire(live.port) as connection:
        for _ in range(8):
            connection.send(begun(key, "Transfer-Encoding: chunked", "X-Long: " + "a" * 12_000))
            wait_until(lambda: live.app.limits.concurrency.all_inside == 1)
            assert connection.send(b"0\r\n\r\n").answer().status == 400  # no JSON


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


@pytest.mark.parametrize("framing", ["Content-Length: 9000000", "Transfer-Encoding: chunked"])
def test_a_large_body_behind_an_answer_that_needed_none_costs_the_connection(live: Live, framing: str) -> None:
    part = b"2800\r\n" + b"x" * 10_240 + b"\r\n"
    with wire(live.port, timeout=3) as connection:
        assert connection.send(head("GET /health/live", framing)).answer().status == 200
        assert connection.send(part * 20).closed()


def test_a_large_body_that_is_refused_unread_costs_the_connection(live: Live) -> None:
    with wire(live.port) as connection:
        connection.send(post("gate_wrong", b" " * 70_000)[:500])
        answer = connection.answer()
        assert (answer.status, answer.header("connection")) == (401, "close")
        assert connection.closed()
