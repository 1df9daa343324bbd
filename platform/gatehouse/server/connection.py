"""One TCP connection: uvicorn's, with deadlines and a bound on its headers, and refusals that go the road of every call.

What can be judged from whole headers is judged in `middleware/framing`; here is what no middleware sees: headers that never end,
bytes that are no HTTP, silence, and a caller that has gone.
"""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any, cast
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gatehouse.call import CONNECTION_KEY, EXCHANGE_KEY, REFUSAL_KEY
from gatehouse.errors import HeadersTimeout, HeadersTooLarge, MalformedRequest, Problem
from gatehouse.server.connections import Connections
from gatehouse.server.exchange import Exchange
from gatehouse.server.lingering import Lingering, Outgoing
from gatehouse.server.request_head import DROPPED, LINE_BYTES, address_by_target, check_protocol

MAX_UNFINISHED_HEAD_BYTES = 64 * 1024
"""Of a request's line and headers that have come without their end; what is whole is measured by `middleware/framing`."""

MAX_BYTES_BETWEEN_BODY = 64 * 1024
"""That bring none of a body: extensions of a chunk, fields behind the last one, and the rest of a body that nobody wants."""


class Connection(HttpToolsProtocol):
    """One TCP connection; it serves one call at a time."""

    when_lost: Callable[[], None] | None = None
    """Called once, when the connection has ended. Whoever sets it takes it back."""

    def __init__(self, *, connections: Connections, **given: Any) -> None:
        super().__init__(**given)
        self.held_by = connections
        self.address = ""
        self._head_open = False
        self._head_bytes = 0
        self._deaf = False
        """Nothing that comes is read any more: the next answer but those under way is the last."""
        self._chunk = b""
        """What is being read."""
        self._head_so_far = b""
        """Of a head that did not come at once: the parts with its first line."""
        self._goes_on = False
        """Since that was last looked at headers have ended, or some of a body has come."""
        self._bytes_between = 0
        self._unsent = 0
        self._lingers = False
        """The last answer has been given, and what still comes is thrown away."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._outgoing = cast(asyncio.Transport, Outgoing(transport, self))
        self.address = self.client[0] if self.client else ""
        refusal = self.held_by.admit(self, self.address, self.loop)
        if refusal is not None:
            self.refuse(refusal)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.held_by.forget(self, self.address)
        if self.when_lost is not None:
            self.when_lost()

    def data_received(self, data: bytes) -> None:
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
        super().on_message_begin()
        self.scope[CONNECTION_KEY] = self  # type: ignore[literal-required]  # an extension of ours
        self.held_by.silent.pop(self, None)
        self._head_open = True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        if self.url + b" HTTP/1." not in self._chunk:
            check_protocol(self.url, self._head_so_far + self._chunk)
        if not self.url.startswith(b"/"):
            address_by_target(self.url, self.headers)
        self._begin_exchange()
        self.headers = DROPPED
        self._goes_on = True
        self._head_open = False
        if self._head_bytes:
            self.held_by.heads.pop(self, None)
            self._head_so_far = b""

    def _begin_exchange(self) -> None:
        """uvicorn's, without what is judged in `middleware/framing`: a request is answered when those before it have been."""
        version, target = self.parser.get_http_version(), httptools.parse_url(self.url)
        path = target.path.decode("ascii")
        self.scope["method"] = self.parser.get_method().decode("ascii")
        self.scope["http_version"] = version
        self.scope["path"] = unquote(path) if "%" in path else path
        self.scope["raw_path"], self.scope["query_string"] = target.path, target.query or b""
        before, self.cycle = self.cycle, self._exchange(self.expect_100_continue, version != "1.0" and self.parser.should_keep_alive())
        if self.held_by.draining:
            self.cycle.keep_alive = False
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._goes_on = True

    def on_message_complete(self) -> None:
        """uvicorn's, which also notes the end of a body that nobody wanted."""
        self.cycle.more_body = False
        if not self.cycle.response_complete:
            self.cycle.message_event.set()

    def on_response_complete(self) -> None:
        """uvicorn's, without a timer for each call."""
        self.server_state.total_requests += 1
        if self._lingers:
            return
        if self.transport.is_closing():
            self.held_by.falls_silent(self, monotonic())  # until the caller has taken the answer
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        elif not self._head_open:
            self.held_by.falls_silent(self, monotonic())

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
        self.on_message_begin()
        self._head_open = False
        # nothing that came is taken over: not whole, or not HTTP
        refused: dict[str, Any] = {"method": "", "path": "", "raw_path": b"", "query_string": b"", REFUSAL_KEY: problem}
        self.scope.update(refused)  # type: ignore[typeddict-item]
        before, self.cycle = self.cycle, self._exchange(False, False)
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.pipeline.appendleft((self.cycle, self.app))

    def answer_is_the_last(self) -> None:
        """The server is about to end: the answer under way closes this connection if it has not begun."""
        if self.cycle is not None and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """The server ends. A request whose headers have begun is still read, and answered."""
        if self._head_open:
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
        return answered and not self._head_open and not self.transport.is_closing() and self.transport.get_write_buffer_size() == 0

    def end(self) -> None:
        """Close it; for one that has nothing to say."""
        self.transport.close()

    def silence_is_over(self) -> bool:
        """End it; False if its caller has taken some of its answer since the last time."""
        unsent = self.transport.get_write_buffer_size()
        if unsent and unsent != self._unsent:
            self._unsent = unsent
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
        found: dict[str, Any] = {REFUSAL_KEY: MalformedRequest("The body is not framed as its headers say.", reason="body_malformed")}
        cycle.scope.update(found)  # type: ignore[typeddict-item]
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

    def _exchange(self, expect_100_continue: bool, keep_alive: bool) -> Exchange:
        exchange = Exchange(
            scope=self.scope,
            transport=self._outgoing,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=expect_100_continue,
            keep_alive=keep_alive,
            on_response=self.on_response_complete,
        )
        exchange.under_way = self.tasks
        self.scope[EXCHANGE_KEY] = exchange  # type: ignore[literal-required]  # an extension of ours
        return exchange
