"""What is judged of a request's head right behind the parser: it takes two other protocols for HTTP, and leaves a target's host in it."""

import re

LINE_BYTES = 4096
"""More than a request's line may have."""
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)", re.IGNORECASE)


class Dropped(list[tuple[bytes, bytes]]):
    """Where the fields behind a body go: as headers they would come after all that judges headers (RFC 9110 6.5.1)."""

    def append(self, _field: tuple[bytes, bytes]) -> None:
        """Keep nothing."""


DROPPED = Dropped()


def check_protocol(target: bytes, so_far: bytes) -> None:
    """Raises ValueError where the line ends with a protocol that the parser takes for HTTP; it tells of the version only."""
    if any(target + name in so_far for name in (b" RTSP/", b" ICE/")):
        raise ValueError("not HTTP")


def address_by_target(target: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """The absolute form names the host, whatever the Host header says (RFC 9112 3.2.2); so it is judged in its place."""
    found = _ABSOLUTE.match(target)
    if found is None:  # authority form, asterisk form, another scheme: no path of ours
        return
    for place, (name, _value) in enumerate(headers):
        if name == b"host":
            headers[place] = (name, found[1])
