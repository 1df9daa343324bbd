"""`send` as the whole road sees it: what the head of every answer carries, and how far an answer has got."""

from collections.abc import Awaitable

from starlette.types import Message, Send

from gatehouse.call import Call
from gatehouse.middleware.security_headers import beside

SENDING_KEY = "gatehouse.sending"
"""Where it lies in an ASGI scope."""


class Sending:
    """Each message passes it once, on its way out."""

    started = complete = False

    def __init__(self, call: Call, send: Send) -> None:
        self._call = call
        self._send = send

    def __call__(self, message: Message) -> Awaitable[None]:
        call = self._call
        if message["type"] == "http.response.start":
            self.started = True
            call.status = message["status"]
            given = message["headers"]
            message["headers"] = headers = [*given, *beside(given), (b"x-request-id", call.request_id.encode("ascii"))]
            if call.traceparent:
                headers.append((b"traceparent", call.traceparent.encode("ascii")))
            if call.limit_fields:
                policy, state = call.limit_fields
                headers += (b"ratelimit-policy", policy.encode("ascii")), (b"ratelimit", state.encode("ascii"))
            if call.notice is not None:
                headers += call.notice.headers
        else:
            if call.route is None:  # a prediction's own steps have counted theirs
                call.bytes_out += len(message.get("body", b""))
            if not message.get("more_body", False):
                self.complete = True
        return self._send(message)
