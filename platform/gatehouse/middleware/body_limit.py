"""Wraps `receive`: counts the bytes of a body, under a cap and one deadline for the whole. Acts when somebody asks for the body."""

import asyncio
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatehouse.call import REFUSAL_KEY, SCOPE_KEY, Call
from gatehouse.errors import BodyTimeout, BodyTooLarge, ClientGone, Overloaded

RETRY_AFTER_S = "1"


class BodyLimit:
    """`cap_of` gives the bytes that a call's body may have; `deadline_s` is for the whole body, not for each read.

    `all_bytes` bounds the bodies of all calls that are under way together, so that many large ones cannot fill the memory.
    """

    def __init__(self, app: ASGIApp, cap_of: Callable[[Call], int], deadline_s: float, all_bytes: int) -> None:
        self.app = app
        self.cap_of = cap_of
        self.deadline_s = deadline_s
        self.all_bytes = all_bytes
        self.held_bytes = 0
        """Of all calls under way."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        call: Call = scope[SCOPE_KEY]
        body = _Body(self, scope, call, receive)
        try:
            await self.app(scope, body.receive, send)
        finally:
            self.held_bytes -= call.bytes_in


class _Body:
    """The body of one call on its way in."""

    __slots__ = ("call", "cap", "ends_at", "limit", "receive_next", "scope", "whole")

    def __init__(self, limit: BodyLimit, scope: Scope, call: Call, receive: Receive) -> None:
        self.limit = limit
        self.scope = scope
        self.call = call
        self.receive_next = receive
        self.cap = -1
        self.ends_at = 0.0
        self.whole = False

    async def receive(self) -> Message:
        """The next part. Raises BodyTooLarge, BodyTimeout, Overloaded, ClientGone, or what the server found wrong in its framing."""
        if self.whole:
            return await self.receive_next()
        if self.cap < 0:
            self._begin()
        try:
            async with asyncio.timeout_at(self.ends_at):
                message = await self.receive_next()
        except TimeoutError:
            self.call.body_pending = True
            raise BodyTimeout() from None
        if message["type"] == "http.disconnect":
            raise ClientGone()
        if REFUSAL_KEY in self.scope:
            self.call.body_pending = True
            raise self.scope[REFUSAL_KEY]
        self._count(len(message.get("body", b"")))
        if not message.get("more_body", False):
            self.whole = True
            self.call.body_pending = False
        return message

    def _begin(self) -> None:
        self.cap = self.limit.cap_of(self.call)
        self.ends_at = asyncio.get_running_loop().time() + self.limit.deadline_s
        check_declared_size(self.scope, self.cap)

    def _count(self, size: int) -> None:
        self.call.bytes_in += size
        self.limit.held_bytes += size
        if self.call.bytes_in > self.cap:
            self.call.body_pending = True
            raise too_large(self.cap)
        if self.limit.held_bytes > self.limit.all_bytes:
            self.call.body_pending = True
            detail = "The service holds as many bytes of bodies as it takes at once. Send the call again after 1 s."
            raise Overloaded(detail, reason="body_bytes", headers=[("Retry-After", RETRY_AFTER_S)])


def check_declared_size(scope: Scope, cap: int) -> None:
    """Refuse by the declared size, before the first byte is read. Raises BodyTooLarge."""
    for name, value in scope["headers"]:
        if name == b"content-length" and int(value) > cap:
            raise too_large(cap)


def too_large(cap: int) -> BodyTooLarge:
    """The refusal, with the cap that holds for this caller."""
    return BodyTooLarge(f"A body may have at most {cap:,} bytes here. Split the rows over several calls.", members={"maximum_bytes": cap})
