"""`send` as the whole road sees it: what the head of every answer carries, and how far an answer has got."""

from collections.abc import Awaitable

from starlette.types import Message, Send

from gatehouse.call import Call
from gatehouse.middleware.security_headers import beside

SENDING_KEY = "gatehouse.sending"
"""Where it lies in an ASGI scope."""
Fields = list[tuple[bytes, bytes]]


class Sending:
    """Each message passes it once, on its way out."""

    __slots__ = ("_call", "_send", "complete", "started")

    def __init__(self, call: Call, send: Send) -> None:
        self._call = call
        self._send = send
        self.started = self.complete = False

    def __call__(self, message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            self.started = True
            self._call.status = message["status"]
            given = message["headers"]
            message["headers"] = [*given, *beside(given), *fields_of(self._call)]
        else:
            if self._call.route is None:  # a prediction's own steps have counted theirs
                self._call.bytes_out += len(message.get("body", b""))
            if not message.get("more_body", False):
                self.complete = True
        return self._send(message)


def fields_of(call: Call) -> Fields:
    """What the call itself adds to the head of its answer."""
    own = [(b"x-request-id", call.request_id.encode("ascii"))]
    if call.traceparent:
        own.append((b"traceparent", call.traceparent.encode("ascii")))
    if call.limit_fields:
        policy, state = call.limit_fields
        own += ((b"ratelimit-policy", policy.encode("ascii")), (b"ratelimit", state.encode("ascii")))
    if call.notice is not None:
        own += call.notice.headers
    return own
