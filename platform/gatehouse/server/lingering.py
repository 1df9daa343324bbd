"""What becomes of a connection whose last answer was given before all that its caller sends has come ("lingering close").

Closed at once, the system answers what still comes with a reset, and a reset can destroy the answer before its caller has read it. So our
side is ended first, the rest is thrown away unread, and the connection ends with the caller's side, or at a bound of bytes or time.

Whoever is refused must not cost the others: all lingering connections of a process share one buffer, and take turns at it.
"""

import asyncio
from array import array
from collections import deque
from contextlib import suppress
from fcntl import ioctl
from termios import TIOCOUTQ
from typing import Protocol

LINGER_S = 5.0
"""From the last byte of the answer on: as long as callers usually need to see it and stop sending."""
LINGER_BYTES = 64 * 1024 * 1024
"""Thrown away of one connection: the default of the largest body, whose caller can then send all of it before it reads."""
SLICE_BYTES = 256 * 1024
TURN_S = 0.004
"""One slice in each turn: 64 MiB a second for all of a process together, a few percent of a core when callers send that much."""
_THROWN_AWAY = bytearray(SLICE_BYTES)


class Ending(Protocol):
    """What is told to the connection that lingers."""

    def answer_is_taken(self) -> None:
        """The last byte of its answer has been handed to the system."""

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended."""


class Turns:
    """Which lingering connection may throw away its next slice."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Transport] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        """Where the next turn is due."""

    def wait(self, transport: asyncio.Transport) -> None:
        """Read nothing more until it is this one's turn."""
        transport.pause_reading()
        self._waiting.append(transport)
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._loop.call_later(TURN_S, self._next)

    def _next(self) -> None:
        while self._waiting:
            transport = self._waiting.popleft()
            if not transport.is_closing():
                transport.resume_reading()
                break
        if self._waiting and self._loop is not None:
            self._loop.call_later(TURN_S, self._next)
        else:
            self._loop = None


class Lingering(asyncio.BufferedProtocol):
    """Takes the place of a connection's protocol: throws away what comes, and closes at the caller's end or at the bound."""

    def __init__(self, connection: Ending, transport: asyncio.Transport, turns: Turns) -> None:
        self._connection = connection
        self._transport = transport
        self._turns = turns
        self._left = LINGER_BYTES

    def begin(self) -> None:
        """End our side behind what is unsent of the answer, and throw away the other."""
        self._transport.pause_reading()  # the way of reading changes with the protocol
        self._transport.set_protocol(self)
        self._transport.set_write_buffer_limits(0)  # to be told of the last byte
        self._transport.write_eof()
        self._transport.resume_reading()
        if not self._transport.get_write_buffer_size():
            self._connection.answer_is_taken()

    def get_buffer(self, sizehint: int) -> bytearray:
        return _THROWN_AWAY

    def buffer_updated(self, nbytes: int) -> None:
        self._left -= nbytes
        if self._left < 0:
            self._transport.abort()
        else:
            self._turns.wait(self._transport)

    def resume_writing(self) -> None:
        self._connection.answer_is_taken()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.connection_lost(exc)


class Outgoing:
    """The transport as calls see it: they write to it, and the connection decides how it ends."""

    __slots__ = ("close", "is_closing", "write")

    def __init__(self, transport: asyncio.Transport, connection: "Ends") -> None:
        self.write = transport.write  # bound here: a call pays for no detour
        self.is_closing = transport.is_closing
        self.close = connection.end_with_answer


def with_the_system(transport: asyncio.BaseTransport) -> int:
    """Bytes that were handed to the system and have not been taken by the other side; 0 where it does not say.

    It keeps up to megabytes, and takes more only when a third of them have gone: what is unsent here says nothing for that long.
    """
    held = array("i", [0])
    with suppress(OSError):
        ioctl(transport.get_extra_info("socket").fileno(), TIOCOUTQ, held)
    return held[0]


class Ends(Protocol):
    """What is told to the connection when its last answer is complete."""

    def end_with_answer(self) -> None:
        """Nothing more will be written."""
