"""One request and its answer: uvicorn's cycle, which here sends the head with what comes first, and checks a head as a whole."""

import asyncio
import logging
from collections.abc import Awaitable
from operator import itemgetter
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HEADER_RE, STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from gatehouse.call import CONTROLS

MOST_COPIED_BYTES = 64 * 1024
"""Of a first part: a larger one is not copied to stand behind its head."""
MOST_KNOWN_HEADS = 256
_known_heads: dict[tuple[bytes, ...], int] = {}
"""Where the one header that says how an answer is framed, its length, stands in heads of these names, all of them checked before."""
_BODILESS = (204, 304)
_FIRST_LINE = {status: line.removesuffix(b"\r\n") for status, line in STATUS_LINE.items()}
_name_of, _line_of = itemgetter(0), b": ".join
"""Of a header."""
Headers = list[tuple[bytes, bytes]]


class _Over(tuple[()]):
    """What is over when it is returned: awaited, it goes on at once, and costs no coroutine."""

    __await__ = tuple.__iter__


_OVER = cast(Awaitable[None], _Over())


class Exchange(RequestResponseCycle):
    """`more_body` says whether some of the request's body has still to come, `alone` whether no other call is under way.

    What every call begins with stands in the class, and in a call what has become of it: uvicorn sets each of them for each call.
    """

    logger = logging.getLogger("uvicorn.error")
    keep_alive = more_body = True
    disconnected = waiting_for_100_continue = response_started = response_complete = False
    let_in = False
    """Its caller is known and within the limits on calls, and its body was asked for; a refusal by any other limit takes it back."""
    chunked_encoding: bool | None = None
    expected_content_length = 0
    body: Any = b""  # a bytearray when some has come
    message_event, waited_for = asyncio.Event(), False
    """Nobody's: a call has one of its own from when somebody waits for what comes next."""
    scope: Any
    """Set by the connection, which puts the exchange into it."""

    _told_whole = False
    """Whoever asked for the request's body has had the end of it."""
    _head = b""
    """Of an answer whose first part has not come."""

    def __init__(self, connection: HttpToolsProtocol, transport: asyncio.Transport) -> None:
        self.connection = connection
        self.transport = transport

    @property
    def alone(self) -> bool:
        return len(self.connection.tasks) <= 1

    async def receive(self) -> Any:
        if self.waiting_for_100_continue and not self.response_started and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.waiting_for_100_continue = False
        if not self.body and (self.more_body or self._told_whole):
            await self._wait()
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        if self.connection.flow.read_paused:
            self.connection.flow.resume_reading()
        body, self.body = self.body, b""
        self._told_whole = not self.more_body
        return {"type": "http.request", "body": bytes(body), "more_body": self.more_body}

    def take(self) -> bytes | None:
        """The whole body, where all of it is here and nothing is to be said first; None where `receive` is to be asked."""
        if self.more_body or self._told_whole or self.waiting_for_100_continue or self.disconnected or self.response_complete:
            return None
        if self.connection.flow.read_paused:
            self.connection.flow.resume_reading()
        body, self.body = self.body, b""
        self._told_whole = True
        return bytes(body)

    async def _wait(self) -> None:
        """Until some of the body comes, or the call ends."""
        if self.disconnected or self.response_complete:
            return
        if not self.waited_for:
            self.waited_for, self.message_event = True, asyncio.Event()
        self.connection.flow.resume_reading()
        self.message_event.clear()
        await self.message_event.wait()

    def send(self, message: Any) -> Awaitable[None]:  # type: ignore[override]  # nothing waits in it but for a caller that does not read
        """Raises RuntimeError for messages out of order, a head that could be read as two, and a body that is not as long as was said."""
        if self.disconnected:
            return _OVER
        if self.connection.flow.write_paused:
            return self._send_when_taken(message)
        if not self.response_started:
            return self._begin(message)
        if self.response_complete or message["type"] != "http.response.body":
            raise RuntimeError("An answer has one head, and nothing follows its end.")
        body, more = message.get("body", b""), message.get("more_body", False)
        if self.chunked_encoding or self.scope["method"] == "HEAD":
            body = self._coded(body, more)
        else:
            self.expected_content_length = left = self.expected_content_length - len(body)
            if left and (left < 0 or not more):
                raise RuntimeError("The body of an answer is not as long as its head says.")
        if self._head:
            head, self._head = self._head, b""
            if len(body) <= MOST_COPIED_BYTES:
                body = head + body
            else:
                self.transport.write(head)
        self.transport.write(body)
        if not more:
            self._end()
        return _OVER

    async def _send_when_taken(self, message: Any) -> None:
        """When the caller has taken most of what was written before."""
        await self.connection.flow.drain()
        await self.send(message)

    def _begin(self, message: Any) -> Awaitable[None]:
        if message["type"] != "http.response.start":
            raise RuntimeError("An answer begins with its head.")
        self.response_started = True
        headers = [*self.connection.server_state.default_headers, *message.get("headers", ())]
        place = _known_heads.get(tuple(map(_name_of, headers)))
        if place is not None and self.keep_alive:
            self.expected_content_length = int(headers[place][1])  # which is all that `_heeded` would find
        else:
            headers = self._heeded(headers, message["status"])
        head = b"\r\n".join([_FIRST_LINE[message["status"]], *map(_line_of, headers)])
        if len(head) - len(head.translate(None, CONTROLS)) != 2 * len(headers):  # more than what ends their lines
            raise RuntimeError("A header of an answer holds a control character.")
        self._head = head + b"\r\n\r\n"
        return _OVER

    def _heeded(self, headers: Headers, status: int) -> Headers:
        """The headers that go out, when each has been looked at."""
        framing = [place for place, (name, value) in enumerate(headers) if self._says_framing(name, value)]
        if len(framing) == 1 and self.chunked_encoding is False and len(_known_heads) < MOST_KNOWN_HEADS:
            _known_heads[tuple(map(_name_of, headers))] = framing[0]
        if not self.keep_alive:
            headers = [*(field for field in headers if field[0].lower() != b"connection"), (b"connection", b"close")]
        if self.chunked_encoding is None and self.scope["method"] != "HEAD" and status not in _BODILESS:
            self.chunked_encoding = True
            headers.append((b"transfer-encoding", b"chunked"))
        return headers

    def _says_framing(self, name: bytes, value: bytes) -> bool:
        name = name.lower()
        if name == b"content-length":
            if self.chunked_encoding is not None:
                raise RuntimeError("An answer has one length.")
            self.expected_content_length, self.chunked_encoding = int(value), False
        elif name == b"connection":
            self.keep_alive &= b"close" not in [option.strip() for option in value.lower().split(b",")]
        elif name == b"transfer-encoding":
            raise RuntimeError("An answer does not choose its transfer coding: leave out transfer-encoding.")
        elif not name or HEADER_RE.search(name):
            raise RuntimeError("A header of an answer has a name that no header can have.")
        return name in (b"content-length", b"connection")

    def _coded(self, body: bytes, more: bool) -> bytes:
        """A part as it goes out where no length was said, and to who asked for the head alone."""
        if self.scope["method"] == "HEAD":
            return b""
        chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
        return chunk if more else chunk + b"0\r\n\r\n"

    def _end(self) -> None:
        self.response_complete = True
        if self.waited_for:
            self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.connection.on_response_complete()
