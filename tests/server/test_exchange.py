"""What leaves for what an app sends, write by write, over the connection that ships and a transport that only keeps what is written."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.server import ServerState

from gatehouse.call import EXCHANGE_KEY
from gatehouse.server.connection import Connection
from gatehouse.server.connections import ConnectionLimits, Connections
from gatehouse.server.exchange import MOST_COPIED_BYTES, MOST_KNOWN_HEADS, _known_heads

GET, HEAD = (method + b" / HTTP/1.1\r\nHost: a\r\n\r\n" for method in (b"GET", b"HEAD"))
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
Field = tuple[bytes, bytes]


class Kept(asyncio.Transport):
    """Each write apart, for ever unread."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        assert not self.closed
        self.written.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Line:
    """A caller's side of one connection."""

    def __init__(self, app: ASGIApp) -> None:
        self.kept = Kept()
        self.raised: list[Exception] = []

        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                await app(scope, receive, send)
            except Exception as error:
                self.raised.append(error)
                raise

        config = uvicorn.Config(watched, lifespan="off", ws="none", log_config=None)
        connections = Connections(ConnectionLimits(at_once=9, per_address=9, head_deadline_s=9, idle_deadline_s=9))
        self.connection = Connection(connections=connections, config=config, server_state=ServerState(), app_state={})
        self.connection.connection_made(self.kept)

    async def send(self, *parts: bytes) -> None:
        for part in parts:
            self.connection.data_received(part)
        await settled()

    @property
    def said(self) -> bytes:
        return b"".join(self.kept.written)


async def settled() -> None:
    """When everything has run that waits for nothing outside."""
    for _ in range(20):
        await asyncio.sleep(0)


def start(*fields: Field, status: int = 200) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(fields)}


def part(body: bytes = b"", *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


def length(size: int) -> Field:
    return b"content-length", b"%d" % size


def sends(*messages: Message) -> ASGIApp:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return app


def answered(*messages: Message, request: bytes = GET) -> Line:
    """What came of one call whose app sends these."""

    async def asked() -> Line:
        line = Line(sends(*messages))
        await line.send(request)
        return line

    return asyncio.run(asked())


def in_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    return lambda: asyncio.run(test())


# ------------------------------------------------------------------ what leaves, and in how many writes

TOLD = b"content-length: 3\r\n\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
LARGE = b"a" * (MOST_COPIED_BYTES + 1)
WRITES: dict[str, tuple[bytes, list[Message], list[bytes]]] = {
    "head and whole body": (GET, [start(length(3)), part(b"abc")], [OK + TOLD + b"abc"]),
    "head and first part": (GET, [start(length(3)), part(b"ab", more=True), part(b"c")], [OK + TOLD + b"ab", b"c"]),
    "HEAD": (HEAD, [start(length(3)), part(b"abc")], [OK + TOLD]),
    "HEAD without a length": (HEAD, [start(), part(b"abc")], [OK + b"\r\n"]),
    "HEAD, told no body": (HEAD, [start(length(3)), part()], [OK + TOLD]),
    "204": (GET, [start(status=204), part()], [b"HTTP/1.1 204 No Content\r\n\r\n"]),
    "304": (GET, [start((b"etag", b'"a"'), status=304), part()], [b'HTTP/1.1 304 Not Modified\r\netag: "a"\r\n\r\n']),
    "no length, one part": (GET, [start(), part(b"abc")], [CHUNKED + b"3\r\nabc\r\n0\r\n\r\n"]),
    "no length, no body": (GET, [start(), part()], [CHUNKED + b"0\r\n\r\n"]),
    "no length, parts of which some are empty": (
        GET,
        [start(), part(more=True), part(b"a" * 17, more=True), part(more=True), part()],
        [CHUNKED, b"11\r\n" + b"a" * 17 + b"\r\n", b"", b"0\r\n\r\n"],
    ),
    "as much as is copied": (GET, [start(length(MOST_COPIED_BYTES)), part(LARGE[1:])], [OK + b"content-length: 65536\r\n\r\n" + LARGE[1:]]),
    "more than is copied": (GET, [start(length(len(LARGE))), part(LARGE)], [OK + b"content-length: 65537\r\n\r\n", LARGE]),
    "no headers": (GET, [{"type": "http.response.start", "status": 200}, part()], [CHUNKED + b"0\r\n\r\n"]),
    "no phrase": (GET, [start(length(0), status=299), part()], [b"HTTP/1.1 299 \r\ncontent-length: 0\r\n\r\n"]),
    "a tab in a value": (GET, [start(length(0), (b"a", b"b\tc")), part()], [OK + b"content-length: 0\r\na: b\tc\r\n\r\n"]),
}


@pytest.mark.parametrize(("request_", "messages", "writes"), WRITES.values(), ids=WRITES)
def test_an_answer_leaves_in_as_few_writes_as_it_has_parts(request_: bytes, messages: list[Message], writes: list[bytes]) -> None:
    line = answered(*messages, request=request_)
    assert line.kept.written == writes
    assert not line.raised
    assert not line.kept.closed


def test_a_large_part_is_written_as_it_is_and_not_copied() -> None:
    seen: list[Any] = []

    class Same(Kept):
        def write(self, data: Any) -> None:
            seen.append(data)

    async def asked() -> None:
        line = Line(sends(start(length(len(LARGE))), part(LARGE)))
        line.connection._outgoing.write = Same().write  # type: ignore[method-assign]
        await line.send(GET)

    asyncio.run(asked())
    assert seen[1] is LARGE


# ------------------------------------------------------------------ what an app must not send

FRAMED_TWICE = [(b"transfer-encoding", b"chunked"), (b"Transfer-Encoding", b"Chunked"), (b"transfer-encoding", b"gzip, chunked")]
VALUES = [b"a\r\nx: b", b"a\nb", b"a\rb", b"\x00", b"a\x1bb", b"\x7f", b"a\r\n\r\nHTTP/1.1 200 OK", b"\x0b"]
NAMES = [b"", b"a:b", b"a b", b"a\tb", b"a\r\nb", b":", b'"a"', b"(a)", b"a=b", b"a\x00"]
REFUSED: dict[str, list[Message]] = {
    "too long at once": [start(length(3)), part(b"abcd")],
    "too long with more to come": [start(length(3)), part(b"abcd", more=True)],
    "too short at once": [start(length(3)), part(b"ab")],
    "too short without a body": [start(length(3)), part()],
    "a body to a 204": [start(status=204), part(b"a")],
    "a body to a 304": [start(status=304), part(b"a")],
    "a body before its head": [part(b"a")],
    "two heads": [start(length(3)), start(length(3))],
    **{f"value {value!r}": [start(length(1), (b"a", value)), part(b"a")] for value in VALUES},
    **{f"name {name!r}": [start(length(1), (name, b"b")), part(b"a")] for name in NAMES},
    **{f"{name!r}: {value!r}": [start((name, value)), part(b"a")] for name, value in FRAMED_TWICE},
    "two lengths": [start(length(1), length(1)), part(b"a")],
    "two lengths that differ": [start(length(1), (b"Content-Length", b"2")), part(b"a")],
}


@pytest.mark.parametrize("messages", REFUSED.values(), ids=REFUSED)
def test_what_could_be_read_as_another_answer_does_not_leave_at_all(messages: list[Message]) -> None:
    for _ in range(2):  # what is known of names must not let one through the second time
        line = answered(*messages)
        assert [type(error) for error in line.raised] == [RuntimeError]
        if messages[0]["type"] == "http.response.start":
            assert line.kept.written == []
        else:
            assert line.said.startswith(b"HTTP/1.1 500 ")
        assert line.kept.closed


@pytest.mark.parametrize("second", [b"cd", b""], ids=["too long", "too short"])
def test_a_body_of_another_length_in_parts_ends_the_connection_behind_what_was_right(second: bytes) -> None:
    line = answered(start(length(3)), part(b"ab", more=True), part(second))
    assert [type(error) for error in line.raised] == [RuntimeError]
    assert line.kept.written == [OK + TOLD + b"ab"]
    assert line.kept.closed


@pytest.mark.parametrize("more", [part(b"b"), part(), start(length(0))], ids=["a part", "an empty part", "a head"])
def test_nothing_follows_an_answer_that_has_ended(more: Message) -> None:
    line = answered(start(length(1)), part(b"a"), more)
    assert [type(error) for error in line.raised] == [RuntimeError]
    assert line.said.endswith(b"\r\n\r\na")


NAMES_SENT = st.sampled_from([b"a", b"b", b"A", b"content-length", b"Content-Length", b"connection", b"transfer-encoding", b"a b", b""])
VALUES_SENT = st.sampled_from([b"1", b"2", b"close", b"keep-alive", b"b\tc", b"b\nc", b"\xe4", b""])


@given(st.lists(st.tuples(NAMES_SENT, VALUES_SENT), max_size=4), st.sampled_from([200, 204]), st.booleans(), st.booleans())
def test_a_head_whose_names_are_known_leaves_as_it_did_the_first_time(fields: list[Field], status: int, closing: bool, head: bool) -> None:
    request = (HEAD if head else GET).replace(b"a\r\n", b"a\r\nConnection: close\r\n" if closing else b"a\r\n")

    def outcome(values: list[bytes]) -> Any:
        sent = [(name, value) for (name, _), value in zip(fields, values, strict=True)]
        line = answered(start(*sent, status=status), part(b"a"), request=request)
        return line.kept.written, line.kept.closed, [str(error) for error in line.raised]

    _known_heads.clear()
    first = outcome([value for _, value in fields])
    _known_heads.clear()
    outcome([b"1"] * len(fields))
    assert outcome([value for _, value in fields]) == first


def test_ever_new_names_are_all_sent_and_not_all_kept() -> None:
    _known_heads.clear()
    for n in range(MOST_KNOWN_HEADS + 9):
        assert b"\r\nx-%d: b\r\n" % n in answered(start(length(0), (b"x-%d" % n, b"b")), part()).said
    assert len(_known_heads) == MOST_KNOWN_HEADS
    assert _known_heads[b"content-length", b"x-0"] == 0


# ------------------------------------------------------------------ Connection: close

CLOSING = [(b"connection", b"close"), (b"connection", b"Close"), (b"connection", b"keep-alive , CLOSE"), (b"Connection", b"close")]


@pytest.mark.parametrize("fields", [[each] for each in CLOSING] + [CLOSING], ids=str)
@pytest.mark.parametrize("request_", [GET, GET.replace(b"a\r\n", b"a\r\nConnection: close\r\n"), GET.replace(b"1.1", b"1.0")])
def test_a_last_answer_says_so_once_and_closes(fields: list[Field], request_: bytes) -> None:
    line = answered(start(length(1), *fields), part(b"a"), request=request_)
    assert line.kept.written == [OK + b"content-length: 1\r\nconnection: close\r\n\r\na"]
    assert line.kept.closed


@pytest.mark.parametrize("fields", [[], [(b"connection", b"keep-alive")]], ids=["app says nothing", "app would go on"])
def test_an_answer_to_a_caller_that_ends_closes_too(fields: list[Field]) -> None:
    line = answered(start(length(1), *fields), part(b"a"), request=GET.replace(b"a\r\n", b"a\r\nConnection: close\r\n"))
    assert line.kept.written == [OK + b"content-length: 1\r\nconnection: close\r\n\r\na"]
    assert line.kept.closed


@pytest.mark.parametrize("value", [b"keep-alive", b"x-closed", b"disclose"])
def test_what_only_looks_like_close_does_not_close(value: bytes) -> None:
    line = answered(start(length(1), (b"connection", value)), part(b"a"))
    assert b"\r\nconnection: " + value + b"\r\n" in line.said
    assert not line.kept.closed


# ------------------------------------------------------------------ the request's body


@in_loop
async def test_100_continue_is_said_once_and_when_the_body_is_asked_for() -> None:
    ask = asyncio.Event()
    bodies: list[Message] = []

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await ask.wait()
        bodies.extend([await receive(), await receive()])
        await sends(start(length(0)), part())({}, receive, send)

    line = Line(app)
    await line.send(POST + b"Expect: 100-continue\r\n\r\n")
    assert line.kept.written == []
    ask.set()
    await settled()
    assert line.kept.written == [CONTINUE]
    await line.send(b"ab")
    await line.send(b"cd")
    assert [(each["body"], each["more_body"]) for each in bodies] == [(b"ab", True), (b"cd", False)]
    assert line.kept.written == [CONTINUE, OK + b"content-length: 0\r\n\r\n"]


def test_100_continue_is_not_said_to_who_is_answered_without_its_body() -> None:
    line = answered(start(length(0)), part(), request=POST + b"Expect: 100-continue\r\n\r\n")
    assert line.kept.written == [OK + b"content-length: 0\r\n\r\n"]


@in_loop
async def test_100_continue_is_not_said_where_the_connection_is_ending() -> None:
    told: list[str] = []
    line: Line

    async def app(_scope: Scope, receive: Receive, _send: Send) -> None:
        line.kept.close()
        told.append((await receive())["type"])

    line = Line(app)
    await line.send(POST + b"Expect: 100-continue\r\n\r\n")
    line.connection.connection_lost(None)
    await settled()
    assert (told, line.said, line.raised) == (["http.disconnect"], b"", [])


@in_loop
async def test_100_continue_is_not_said_within_an_answer() -> None:
    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await sends(start(length(2)), part(b"a", more=True))({}, receive, send)
        await receive()
        await send(part(b"b"))

    line = Line(app)
    await line.send(POST + b"Expect: 100-continue\r\n\r\n")
    await line.send(b"abcd")
    assert line.kept.written == [OK + b"content-length: 2\r\n\r\na", b"b"]


@in_loop
async def test_a_body_that_came_with_its_head_is_given_without_waiting() -> None:
    given: list[Message] = []

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        asked = receive()
        with pytest.raises(StopIteration) as ended:
            asked.send(None)  # type: ignore[attr-defined]  # one step of the coroutine: it must not give way to the loop
        given.append(ended.value.value)
        await sends(start(length(0)), part())({}, receive, send)

    line = Line(app)
    await line.send(POST + b"\r\nabcd")
    assert not line.raised
    assert given == [{"type": "http.request", "body": b"abcd", "more_body": False}]


EXPECTING = POST + b"Expect: 100-continue\r\n"
TAKEN: dict[str, tuple[list[bytes], bytes | None]] = {
    "whole": ([POST + b"\r\nabcd"], b"abcd"),
    "none at all": ([GET], b""),
    "in chunks that came with the head": (
        [POST.replace(b"Content-Length: 4", b"Transfer-Encoding: chunked") + b"\r\n2\r\nab\r\n0\r\n\r\n"],
        b"ab",
    ),
    "some of it": ([POST + b"\r\nab", b"cd"], None),
    "announced": ([POST + b"\r\n", b"abcd"], None),
    "asked for by 100 Continue": ([EXPECTING + b"\r\nabcd"], None),
}


@pytest.mark.parametrize(("parts", "taken"), TAKEN.values(), ids=TAKEN)
def test_a_body_is_taken_in_one_step_only_where_nothing_of_it_is_missing_or_told(parts: list[bytes], taken: bytes | None) -> None:
    found: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        exchange = scope[EXCHANGE_KEY]
        found.append(exchange.take())
        found.append(exchange.take())  # nothing is given twice
        while found[0] is None:
            message = await receive()
            found.append(message["body"])
            if not message["more_body"]:
                break
        await sends(start(length(0)), part())(scope, receive, send)

    async def asked() -> Line:
        line = Line(app)
        for each in parts:
            await line.send(each)
        return line

    line = asyncio.run(asked())
    assert not line.raised
    assert found[:2] == [taken, None]
    assert b"".join(found[2:]) == (b"abcd" if taken is None else b"")


@in_loop
async def test_who_waits_for_a_caller_that_goes_is_told_and_writes_nothing_more() -> None:
    told: list[str] = []

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(length(9)))
        await send(part(b"abc", more=True))
        told.extend([(await receive())["type"], (await receive())["type"], (await receive())["type"]])
        await send(part(b"d" * 100))

    line = Line(app)
    await line.send(POST + b"\r\nab")
    line.connection.connection_lost(None)
    await settled()
    assert told == ["http.request", "http.disconnect", "http.disconnect"]
    assert (line.said, line.raised) == (OK + b"content-length: 9\r\n\r\nabc", [])


@in_loop
async def test_after_its_answer_an_app_that_listens_on_is_told_at_once_that_the_call_is_over() -> None:
    told: list[str] = []

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await sends(start(length(0)), part())({}, receive, send)
        told.append((await receive())["type"])

    await Line(app).send(GET)
    assert told == ["http.disconnect"]


@in_loop
async def test_who_listens_beside_its_answer_is_told_when_that_has_ended() -> None:
    told: list[str] = []

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        listening = asyncio.ensure_future(receive())
        await settled()
        assert not listening.done()
        await sends(start(length(0)), part())({}, receive, send)
        told.append((await listening)["type"])

    line = Line(app)
    await line.send(GET)
    await settled()
    assert (told, line.raised) == (["http.disconnect"], [])


@in_loop
async def test_two_who_listen_at_once_are_both_told() -> None:
    told: list[str] = []

    async def app(_scope: Scope, receive: Receive, _send: Send) -> None:
        await receive()
        told.extend(message["type"] for message in await asyncio.gather(receive(), receive()))

    line = Line(app)
    await line.send(GET)
    assert told == []
    line.connection.connection_lost(None)
    await settled()
    assert told == ["http.disconnect"] * 2


@in_loop
async def test_of_a_body_that_nobody_reads_only_so_much_is_read_until_somebody_does() -> None:
    ask = asyncio.Event()
    given: list[int] = []

    async def app(_scope: Scope, receive: Receive, _send: Send) -> None:
        await ask.wait()
        given.extend([len((await receive())["body"]), len((await receive())["body"])])

    line = Line(app)
    flow: Any = line.connection.flow
    await line.send(POST.replace(b"4", b"200000") + b"\r\n", b"a" * 60_000)
    assert not flow.read_paused
    await line.send(b"a" * 6_000)
    assert flow.read_paused
    ask.set()
    await settled()
    assert not flow.read_paused
    await line.send(b"a" * 5)
    assert given == [66_000, 5]


@in_loop
async def test_what_follows_an_answer_of_a_body_that_nobody_read_is_still_read_away() -> None:
    line = Line(sends(start(length(0)), part()))
    await line.send(POST.replace(b"4", b"130000") + b"\r\n" + b"a" * 70_000)
    for _ in range(6):
        await line.send(b"a" * 10_000)
        assert not line.connection.flow.read_paused
    await line.send(GET)
    assert line.said.count(OK) == 2


TARGETS = st.sampled_from([b"/", b"/a", b"/a?b=c", b"/a?b=d", b"/a%2Fb", b"/%C3%A9", b"/%", b"/a#b", b"//a", b"http://b/a", b"http://c/a"])


@given(st.lists(TARGETS, max_size=5))
def test_a_call_behind_others_has_the_scope_that_it_has_alone(targets: list[bytes]) -> None:
    async def scopes(of: list[bytes]) -> list[dict[str, Any]]:
        seen: list[Scope] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            assert not scope["state"]
            scope["state"]["seen"] = True
            seen.append(scope)
            await sends(start(length(0)), part())(scope, receive, send)

        line = Line(app)
        for target in of:
            await line.send(GET.replace(b" / ", b" %b " % target))
        return [{name: value for name, value in scope.items() if not name.startswith("gatehouse.")} for scope in seen]

    async def compared() -> None:
        assert await scopes(targets) == [(await scopes([target]))[0] for target in targets]

    asyncio.run(compared())


# ------------------------------------------------------------------ order and pace


@pytest.mark.parametrize("at_once", [True, False], ids=["in one piece", "one after another"])
def test_pipelined_calls_are_answered_one_by_one_in_their_order(at_once: bool) -> None:
    async def asked() -> None:
        begun: list[str] = []
        may_end = [asyncio.Event() for _ in range(3)]

        async def app(scope: Scope, _receive: Receive, send: Send) -> None:
            n = int(scope["path"][1:])
            begun.append(scope["path"])
            await may_end[n].wait()
            await send(start(length(1)))
            await send(part(b"%d" % n))

        line = Line(app)
        calls = [GET.replace(b" / ", b" /%d " % n) for n in range(3)]
        await line.send(*([b"".join(calls)] if at_once else calls))
        for event in may_end[1:]:
            event.set()  # the later ones could answer at once
        await settled()
        assert (begun, line.kept.written) == (["/0"], [])
        may_end[0].set()
        await settled()
        assert line.kept.written == [OK + b"content-length: 1\r\n\r\n%d" % n for n in range(3)]

    asyncio.run(asked())


@pytest.mark.parametrize("goes", [False, True], ids=["reads again", "goes"])
def test_an_answer_waits_while_its_caller_does_not_read(goes: bool) -> None:
    async def asked() -> None:
        line = Line(sends(start(length(2)), part(b"a", more=True), part(b"b")))
        line.connection.pause_writing()
        await line.send(GET)
        assert line.kept.written == []
        if goes:
            line.connection.connection_lost(None)
        else:
            line.connection.resume_writing()
        await settled()
        assert line.kept.written == ([] if goes else [OK + b"content-length: 2\r\n\r\na", b"b"])
        assert not line.raised

    asyncio.run(asked())
