"""One TCP connection: uvicorn's, with deadlines and a bound on its headers, and refusals that go the road of every call.

What can be judged from whole headers is judged in `middleware/framing`; here is what no middleware sees: headers that never end,
bytes that are no HTTP, silence, and a caller that has gone.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from operator import itemgetter
from time import monotonic
from typing import Any, cast
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gatehouse.call import CONNECTION_KEY, EXCHANGE_KEY, REFUSAL_KEY
from gatehouse.errors import HeadersTimeout, HeadersTooLarge, MalformedRequest, Problem
from gatehouse.server.connections import Connections
from gatehouse.server.exchange import Exchange
from gatehouse.server.lingering import Lingering, Outgoing, with_the_system
from gatehouse.server.request_head import DROPPED, LINE_BYTES, address_by_target, check_protocol

MAX_UNFINISHED_HEAD_BYTES = 64 * 1024
"""Of a request's line and headers that have come without their end; what is whole is measured by `middleware/framing`."""

MAX_BYTES_BETWEEN_BODY = 64 * 1024
"""That bring none of a body: extensions of a chunk, fields behind the last one, and the rest of a body that nobody wants."""

FIRST_REQUEST_S = 1.0
"""From the handshake on: a server that ends leaves a caller that has just connected this long to send what it connected for."""
_name_of = itemgetter(0)


class Connection(HttpToolsProtocol):
    """One TCP connection; it serves one call at a time."""

    cycle: Exchange
    _when_lost: Callable[[], None] | None = None
    _lost = False
    _ends = False
    """It was asked to end while something waited to be read."""

    def __init__(self, *, connections: Connections, **given: Any) -> None:
        super().__init__(**given)
        self.held_by = connections
        self.address = ""
        self._head_open = False
        self._head_bytes = 0
        self._deaf = False
        """Nothing that comes is read any more: the next answer but those under way is the last."""
        self._unread = b""
        """What has come and waits for a turn: it begins a call, of a caller who was not let in before."""
        self._chunk = b""
        """What is being read: if it waited for a turn, that is the turn of the call that it begins."""
        self._head_so_far = b""
        """Of a head that did not come at once: the parts with its first line."""
        self._goes_on = False
        """Since that was last looked at headers have ended, or some of a body has come."""
        self._bytes_between = 0
        self._not_taken = 0
        """Bytes of answers when it was last looked at why nothing comes."""
        self._lingers = False
        """The last answer has been given, and what still comes is thrown away."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._outgoing = cast(asyncio.Transport, Outgoing(transport, self))
        self.address = self.client[0] if self.client else ""
        super().on_message_begin()
        self._blank_scope: dict[str, Any] = {**self.scope, "method": "", "path": "", "raw_path": b"", "query_string": b""}
        self._scope_of_url, self._url_before = self._blank_scope, b""
        refusal = self.held_by.admit(self, self.address, self.loop)
        if refusal is not None:
            self.refuse(refusal)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.held_by.forget(self, self.address)
        self._lost = True
        self._unread = b""
        if self._when_lost is not None:
            self._when_lost()

    def when_lost(self, told: Callable[[], None] | None) -> None:
        """`told` is called once, when the connection has ended: now, where it has. Whoever asks for it takes it back with None."""
        self._when_lost = told
        if self._lost and told is not None:
            told()

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        if before is not None and (before.let_in or not before.response_complete):
            self._read(data)
            return
        waits = bool(self._unread)
        self._unread += data
        if not waits:
            self.held_by.starts.begin(self._read_on, self.loop)
        if len(self._unread) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()  # until that has been read

    def _read_on(self) -> None:
        """What has come and waited for its turn."""
        data, self._unread = self._unread, b""
        if not self._lost:
            self.flow.resume_reading()
            self._read(data)
            if self._ends:
                self.shutdown()

    def _read(self, data: bytes) -> None:
        if self._deaf:
            self.flow.pause_reading()  # until the calls before have been answered
            return
        self._chunk = data
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._deaf = True  # refused in its turn; the parser reads nothing behind it
        except httptools.HttpParserError:
            self._cannot_be_read()
        else:
            if self._head_open:
                self._await_head(data)
            elif self.cycle is not None and self.cycle.more_body:
                self._await_body(data)
        self._chunk = b""

    def on_message_begin(self) -> None:
        """uvicorn's, without the scope: it is made when all of it is known."""
        self.url = b""
        self.headers = []
        self.held_by.silent.pop(self, None)
        self._head_open = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """uvicorn's, which asks each one whether it is an expectation."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """uvicorn's, without what is judged in `middleware/framing`: a request is answered when those before it have been."""
        url, parser = self.url, self.parser
        if self._chunk.find(url + b" HTTP/1.") < 0:  # quicker than `not in`, which first takes the bytes for a number
            check_protocol(url, self._head_so_far + self._chunk)
        if url != self._url_before:
            self._read_target(url)
        exchange, version = Exchange(self, self._outgoing), parser.get_http_version()
        if version == "1.0" or not parser.should_keep_alive() or self.held_by.draining:
            exchange.keep_alive = False
        if b"expect" in map(_name_of, self.headers):
            exchange.waiting_for_100_continue = any(name == b"expect" and value.lower() == b"100-continue" for name, value in self.headers)
        exchange.scope = {
            **self._scope_of_url,
            "http_version": version,
            "method": parser.get_method().decode("ascii"),
            "headers": self.headers,
            "state": self.app_state.copy(),
            CONNECTION_KEY: self,
            EXCHANGE_KEY: exchange,
        }
        self._take_up(exchange)
        self.headers = DROPPED
        self._goes_on = True
        self._head_open = False
        if self._head_bytes:
            self._head_bytes = 0
            self._head_so_far = b""
            self.held_by.heads.pop(self, None)

    def _read_target(self, url: bytes) -> None:
        """What it says goes into the scope of this call, and of those behind it for the same one."""
        target = httptools.parse_url(url)
        path = target.path.decode("ascii")
        own = {"path": unquote(path) if "%" in path else path, "raw_path": target.path, "query_string": target.query or b""}
        self._scope_of_url = self._blank_scope | own
        self._url_before = url
        if not url.startswith(b"/"):
            address_by_target(url, self.headers)
            self._url_before = b""  # the headers of each call are to be changed

    def _take_up(self, exchange: Exchange) -> None:
        before, self.cycle = self.cycle, exchange
        if before is not None and not before.response_complete:
            if not self._deaf:
                self.flow.pause_reading()
            self.pipeline.appendleft((exchange, self.app))
        elif self._chunk:
            self._start_asgi_task(exchange, self.app)
        else:
            self.held_by.starts.begin(partial(self._start_asgi_task, exchange, self.app), self.loop)

    def on_body(self, body: bytes) -> None:
        """uvicorn's, which looks at how much is kept with each part; `_await_body` does where more is to come."""
        self._goes_on = True
        cycle = self.cycle
        if cycle.response_complete:
            return
        if cycle.body:
            cycle.body += body
        else:
            cycle.body = bytearray(body)
        if cycle.waited_for:
            cycle.message_event.set()

    def on_message_complete(self) -> None:
        """uvicorn's, which also notes the end of a body that nobody wanted."""
        self.cycle.more_body = False
        if self.cycle.waited_for:
            self.cycle.message_event.set()

    def on_response_complete(self) -> None:
        """uvicorn's, without a timer for each call."""
        self.server_state.total_requests += 1
        if self._lingers:
            return
        if self.transport.is_closing():
            self.held_by.falls_silent(self, monotonic())  # until the caller has taken the answer
            return
        if self.flow.read_paused:
            self.flow.resume_reading()
        if self.pipeline:
            self.held_by.starts.begin(partial(self._start_asgi_task, *self.pipeline.pop()), self.loop)
        elif not self._head_open:
            self.held_by.silent[self] = monotonic()  # the newest of them: the beginning of the call has taken it out

    def pause_writing(self) -> None:
        super().pause_writing()
        self.held_by.falls_silent(self, monotonic())

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.cycle is not None and not self.cycle.response_complete:
            self.held_by.silent.pop(self, None)

    def refuse(self, problem: Problem) -> None:
        """Answer this when the calls before it have been answered, read nothing more, and close."""
        self._deaf = True
        self.held_by.waits_no_more(self)
        self._head_open = False
        exchange = Exchange(self, self._outgoing)
        exchange.keep_alive = False
        # nothing that came is taken over: not whole, or not HTTP
        own = {"headers": [], "state": self.app_state.copy(), CONNECTION_KEY: self, EXCHANGE_KEY: exchange, REFUSAL_KEY: problem}
        exchange.scope = self._blank_scope | own
        self._take_up(exchange)

    def answer_is_the_last(self) -> None:
        """The server is about to end: the answer under way closes this connection if it has not begun."""
        if self.cycle is not None and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """The server ends. A request that has begun to come is still read, and answered; a new connection has time for its first one."""
        if self._unread:
            self._ends = True
        if self._head_open or self._lingers or self._unread:
            return
        no_request_yet = self.cycle is None
        if no_request_yet and (left := self.held_by.silent.get(self, 0.0) + FIRST_REQUEST_S - monotonic()) > 0:
            self.loop.call_later(left, self.shutdown)
            return
        if self.is_idle() and self._more_comes():
            self._linger()
        else:
            super().shutdown()

    def end_with_answer(self) -> None:
        """The last answer is written: end our side, and the connection unless its caller may be sending still."""
        if self._more_comes():
            self._linger()
        else:
            self.transport.close()

    def answer_is_taken(self) -> None:
        """The last answer is with the system: this connection is nobody's call any more, and no shutdown waits for it."""
        self.connections.discard(self)
        self.held_by.lingers(self, monotonic())

    def is_idle(self) -> bool:
        """Whether no call is under way, no request has begun and no part of an answer is unsent."""
        answered = self.cycle is None or (self.cycle.response_complete and not self.pipeline)
        nothing_comes = not self._head_open and not self._unread
        return answered and nothing_comes and not self.transport.is_closing() and self.transport.get_write_buffer_size() == 0

    def end(self) -> None:
        """Close it; for one that has nothing to say."""
        self.transport.close()

    def silence_is_over(self) -> bool:
        """End it; False if its caller has taken some of its answer since the last time, or has sent what still waits to be read."""
        if self._unread:
            return False
        unsent = self.transport.get_write_buffer_size()
        if unsent and (not_taken := unsent + with_the_system(self.transport)) != self._not_taken:
            self._not_taken = not_taken
            return False
        if unsent or self.transport.is_closing():
            self.transport.abort()
        else:
            self.transport.close()
        return True

    def headers_are_late(self) -> None:
        """The headers of a request did not come in time."""
        self.refuse(HeadersTimeout())

    def _await_head(self, data: bytes) -> None:
        if not self._head_bytes:
            self.held_by.heads[self] = monotonic()
            self._head_so_far = data[-LINE_BYTES:]
        elif len(self._head_so_far) < LINE_BYTES:
            self._head_so_far += data[:LINE_BYTES]
        # of the first bytes some may be of the message before
        self._head_bytes += len(data) if self._head_bytes else 1
        if self._head_bytes > MAX_UNFINISHED_HEAD_BYTES:
            self.refuse(HeadersTooLarge(reason="headers_without_end"))

    def _await_body(self, data: bytes) -> None:
        wanted = self._goes_on and not self.cycle.response_complete
        if wanted and len(self.cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        self._bytes_between = 0 if wanted else self._bytes_between + len(data)
        self._goes_on = False
        if self._bytes_between > MAX_BYTES_BETWEEN_BODY:
            self._cannot_be_read()

    def _cannot_be_read(self) -> None:
        cycle = self.cycle
        if cycle is None or self._head_open or not cycle.more_body:
            self.refuse(MalformedRequest("These bytes are no HTTP/1.1 request.", reason="request_malformed"))
            return
        self._deaf = True
        if cycle.response_complete:  # the rest of a body that nobody wanted
            self._linger()
            return
        cycle.scope[REFUSAL_KEY] = MalformedRequest("The body is not framed as its headers say.", reason="body_malformed")
        cycle.keep_alive = False
        cycle.more_body = False
        cycle.message_event.set()

    def _more_comes(self) -> bool:
        """Whether the caller may be sending what nobody will read."""
        cycle = self.cycle
        return self._deaf or self._head_open or bool(self.pipeline) or (cycle is not None and cycle.more_body)

    def _linger(self) -> None:
        if self._lingers or self.transport.is_closing():
            return
        self._lingers = True
        self._head_open = False
        self.pipeline.clear()
        self.cycle.body = bytearray()
        self.held_by.waits_no_more(self)
        self.held_by.falls_silent(self, monotonic())  # until the caller has taken the answer
        Lingering(self, self.transport, self.held_by.turns).begin()
