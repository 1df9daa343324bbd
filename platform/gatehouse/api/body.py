"""Reads a whole body through the `receive` that the middleware limits."""

from starlette.types import Receive

from gatehouse.contracts.pause import Pause

BLANK = b" \t\n\r"


async def read_body(receive: Receive) -> list[bytes]:
    """The whole body, in the parts in which it came: to join a large one is work for a thread. Raises what the limit raises."""
    parts: list[bytes] = []
    more = True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return parts


def whole_body(parts: list[bytes], pause: Pause) -> bytes:
    """The parts of a large body as one, without the blanks behind its end. Changes `parts`."""
    while len(parts) > 1:
        parts[-1] = parts[-1].rstrip(BLANK)
        if parts[-1]:
            break
        parts.pop()
        pause()
    return b"".join(parts)  # a copy that lets go of the interpreter
