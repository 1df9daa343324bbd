"""One request and its answer: uvicorn's cycle, which here sends the head with what comes first, and checks a head as a whole."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HEADER_RE, STATUS_LINE, RequestResponseCycle

MOST_COPIED_BYTES = 64 * 1024
"""Of a first part: a larger one is not copied to stand behind its head."""
MOST_PLAIN_NAMES = 256
_plain_names: set[bytes] = set()
"""Of headers, checked before, that say nothing of how an answer is framed: answers have few names, and checking each again costs more."""
_CONTROLS = bytes({*range(32), 127} - set(b"\t\r\n"))
_BODILESS = (204, 304)


class Exchange(RequestResponseCycle):
    """`more_body` says whether some of the request's body has still to come, `alone` whether no other call is under way."""

    under_way: "set[asyncio.Task[None]]"
    """Of the whole process, this one included."""

    _head = b""
    """Of an answer whose first part has not come."""

    @property
    def alone(self) -> bool:
        return len(self.under_way) <= 1

    async def receive(self) -> Any:
        if self.waiting_for_100_continue and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.waiting_for_100_continue = False
        if not self.disconnected and not self.response_complete:
            self.flow.resume_reading()
            if not self.message_event.is_set():
                await self.message_event.wait()
            self.message_event.clear()
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        body, self.body = self.body, bytearray()
        return {"type": "http.request", "body": bytes(body), "more_body": self.more_body}

    async def send(self, message: Any) -> None:
        """Raises RuntimeError for messages out of order, a head that could be read as two, and a body that is not as long as was said."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if not self.response_started:
            self._begin(message)
        elif not self.response_complete:
            self._go_on(message)
        else:
            raise RuntimeError("An answer has ended, and more of it was sent.")

    def _begin(self, message: Any) -> None:
        if message["type"] != "http.response.start":
            raise RuntimeError("An answer begins with its head.")
        self.response_started = True
        self.waiting_for_100_continue = False
        headers = [*self.default_headers, *message.get("headers", ())]
        for name, value in headers:
            if name not in _plain_names:
                self._heed(name, value)
        status = message["status"]
        if not self.keep_alive:
            headers = [*(field for field in headers if field[0].lower() != b"connection"), (b"connection", b"close")]
        if self.chunked_encoding is None and self.scope["method"] != "HEAD" and status not in _BODILESS:
            self.chunked_encoding = True
            headers.append((b"transfer-encoding", b"chunked"))
        head = b"".join([b"%b: %b\r\n" % field for field in headers])
        if not head.count(b"\r") == head.count(b"\n") == len(headers) or len(head.translate(None, _CONTROLS)) < len(head):
            raise RuntimeError("A header of an answer holds a control character.")
        self._head = b"%b%b\r\n" % (STATUS_LINE[status], head)

    def _heed(self, given: bytes, value: bytes) -> None:
        name = given.lower()
        if name == b"content-length":
            self.expected_content_length, self.chunked_encoding = int(value), False
        elif name == b"connection":
            self.keep_alive &= b"close" not in [option.strip() for option in value.lower().split(b",")]
        elif name == b"transfer-encoding":
            raise RuntimeError("An answer does not choose its transfer coding: leave out transfer-encoding.")
        elif not name or HEADER_RE.search(name):
            raise RuntimeError("A header of an answer has a name that no header can have.")
        elif len(_plain_names) < MOST_PLAIN_NAMES:
            _plain_names.add(given)

    def _go_on(self, message: Any) -> None:
        if message["type"] != "http.response.body":
            raise RuntimeError("An answer has one head.")
        body, more = message.get("body", b""), message.get("more_body", False)
        if self.scope["method"] == "HEAD":
            self.expected_content_length = 0
            body = b""
        elif self.chunked_encoding:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            body = chunk if more else chunk + b"0\r\n\r\n"
        else:
            self.expected_content_length -= len(body)
            if self.expected_content_length < 0 or (self.expected_content_length and not more):
                raise RuntimeError("The body of an answer is not as long as its head says.")
        if self._head:
            body = self._behind_head(body)
        self.transport.write(body)
        if not more:
            self.response_complete = True
            self.message_event.set()
            if not self.keep_alive:
                self.transport.close()
            self.on_response()

    def _behind_head(self, body: bytes) -> bytes:
        """What is to be written now that the first part has come."""
        head, self._head = self._head, b""
        if len(body) <= MOST_COPIED_BYTES:
            return head + body
        self.transport.write(head)
        return body
