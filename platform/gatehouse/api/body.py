"""Reads a whole body through the `receive` that the middleware limits."""

from starlette.types import Receive

from gatehouse.contracts.pause import Pause

BLANK = b" \t\n\r"


def body_here(receive: Receive) -> list[bytes] | None:
    """The whole body, as `read_body` returns it, where all of it has come and the middleware can say so. Raises what the limit raises."""
    here = getattr(receive, "here", None)
    body = None if here is None else here()
    return None if body is None else [body]


async def read_body(receive: Receive) -> list[bytes]:
    """The whole body, in the parts in which it came: to join a large one is work for a thread. Raises what the limit raises."""
    message = await receive()
    parts = [message.get("body", b"")]
    while message.get("more_body", False):
        message = await receive()
        parts.append(message.get("body", b""))
    return parts


def whole_body(parts: list[bytes], longest_blank: int, pause: Pause) -> bytes:
    """The parts of a large body as one. Where more blanks stand in a row than `longest_blank`, which is more than any text may hold, just
    so many are kept: what was right stays right, what was wrong stays wrong, and a body blown up with blanks costs little.
    """
    kept: list[bytes] = []
    blanks = 0
    for part in parts:
        inner = part.lstrip(BLANK)
        leading = len(part) - len(inner)
        kept.append(part[: max(0, min(leading, longest_blank - blanks))])
        blanks += leading
        if inner:
            blanks = len(inner) - len(inner.rstrip(BLANK))
            kept.append(inner[: longest_blank - blanks] if blanks > longest_blank else inner)
        pause()
    return b"".join(kept)  # a copy that lets go of the interpreter
