"""Reads a whole body through the `receive` that the middleware limits."""

from starlette.types import Receive


async def read_body(receive: Receive) -> list[bytes]:
    """The whole body, in the parts in which it came: to join a large one is work for a thread. Raises what the limit raises."""
    parts: list[bytes] = []
    more = True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return parts
