"""Wraps `receive`: counts the bytes of a body, under a cap and one deadline for the whole. Acts when somebody asks for the body."""

import asyncio
from collections.abc import Callable
from typing import Any, NoReturn

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatehouse.call import EXCHANGE_KEY, REFUSAL_KEY, SCOPE_KEY, Call
from gatehouse.errors import BodyTimeout, BodyTooLarge, ClientGone, Overloaded

RETRY_AFTER_S = "1"


class BodyLimit:
    """`cap_of` gives the bytes that a call's body may have; `deadline_s` is for the whole body, not for each read.

    `all_bytes` bounds the bodies of all calls that are under way together, so that many large ones cannot fill the memory. Of these a
    tenant may hold as many as are left free: one alone half of them, each of two a third. So the next tenant always finds room.
    """

    def __init__(self, app: ASGIApp, cap_of: Callable[[Call], int], deadline_s: float, all_bytes: int) -> None:
        self.app = app
        self.cap_of = cap_of
        self.deadline_s = deadline_s
        self.all_bytes = all_bytes
        self.held_bytes = 0
        """Of all calls under way."""
        self.held_by: dict[str, int] = {}
        """The same by tenant."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = _Body(self, scope, receive)
        try:
            await self.app(scope, body, send)
        finally:
            if body.call.bytes_in:
                self._release(body.tenant, body.call.bytes_in)

    def hold(self, tenant: str, size: int) -> bool:
        """Count further bytes of a call, which are here; whether its tenant may have them."""
        self.held_bytes += size
        self.held_by[tenant] = held = self.held_by.get(tenant, 0) + size
        return held <= self.all_bytes - self.held_bytes

    def _release(self, tenant: str, size: int) -> None:
        self.held_bytes -= size
        left = self.held_by[tenant] - size
        if left:
            self.held_by[tenant] = left
        else:
            del self.held_by[tenant]


class _Body:
    """The body of one call on its way in: what the road below receives it by."""

    cap = -1
    """Bytes that it may have, once somebody has asked for it."""
    tenant = ""
    """Whose bytes they are; "" is nobody's in particular."""
    ends_at = 0.0
    whole = False

    def __init__(self, limit: BodyLimit, scope: Scope, receive: Receive) -> None:
        self.limit = limit
        self.scope = scope
        self.call: Call = scope[SCOPE_KEY]
        self.receive_next = receive

    def here(self) -> bytes | None:
        """The whole body, where all of it has come before anybody asked; None where it is to be received. Raises what that raises."""
        exchange = self.scope.get(EXCHANGE_KEY)
        if exchange is None or self.cap >= 0 or REFUSAL_KEY in self.scope:
            return None
        call = self.call
        self._begin(call, exchange)
        body: bytes | None = exchange.take()
        if body is not None:
            self._count(call, len(body))
            self._end(call)
        return body

    async def __call__(self) -> Message:
        """The next part. Raises BodyTooLarge, BodyTimeout, Overloaded, ClientGone, or what the server found wrong in its framing."""
        if self.whole:
            return await self.receive_next()
        call, exchange = self.call, self.scope.get(EXCHANGE_KEY)
        if self.cap < 0:
            self._begin(call, exchange)
        is_here = exchange is not None and not exchange.more_body  # all of it: then nothing is waited for, and no timer is set
        message = await (self.receive_next() if is_here else self._next_in_time())
        if message["type"] == "http.disconnect":
            raise ClientGone()
        if REFUSAL_KEY in self.scope:
            call.body_pending = True
            raise self.scope[REFUSAL_KEY]
        self._count(call, len(message.get("body", b"")))
        if not message.get("more_body", False):
            self._end(call)
        return message

    def _begin(self, call: Call, exchange: Any) -> None:
        """Refuse by the declared size, before the first byte is read."""
        if call.principal is not None:
            self.tenant = call.principal.tenant_id
            if exchange is not None:
                exchange.let_in = True
        self.cap = cap = self.limit.cap_of(call)
        if call.declared_bytes > cap:
            raise too_large(cap)

    def _count(self, call: Call, size: int) -> None:
        call.bytes_in += size
        if not self.limit.hold(self.tenant, size) or call.bytes_in > self.cap:
            self._refuse(call)

    def _end(self, call: Call) -> None:
        self.whole = True
        call.body_pending = False

    async def _next_in_time(self) -> Message:
        if not self.ends_at:
            self.ends_at = asyncio.get_running_loop().time() + self.limit.deadline_s
        try:
            async with asyncio.timeout_at(self.ends_at):
                return await self.receive_next()
        except TimeoutError:
            self.call.body_pending = True
            raise BodyTimeout() from None

    def _refuse(self, call: Call) -> NoReturn:
        call.body_pending = True
        if call.bytes_in > self.cap:
            raise too_large(self.cap)
        detail = "Your organisation's calls hold as many bytes of bodies as are left free here. Send the call again after 1 s."
        raise Overloaded(detail, reason="body_bytes", headers=[("Retry-After", RETRY_AFTER_S)])


def too_large(cap: int) -> BodyTooLarge:
    """The refusal, with the cap that holds for this caller."""
    return BodyTooLarge(f"A body may have at most {cap:,} bytes here. Split the rows over several calls.", members={"maximum_bytes": cap})
