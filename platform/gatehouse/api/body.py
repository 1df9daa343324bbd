"""Reads a whole body through the `receive` that the middleware limits."""

from starlette.types import Receive


async def read_body(receive: Receive) -> bytes:
    """The whole body. Raises what the limit raises."""
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        return body
    parts = [body]
    while message.get("more_body", False):
        message = await receive()
        parts.append(message.get("body", b""))
    return b"".join(parts)
