"""How a server ends under load without a call being dropped.

1. It says so: `/health/ready` is 503, and every answer closes its connection, so that proxies and balancers go elsewhere by themselves.
2. The door closes: no further handshake is begun, connections that were made are taken, then nobody listens. Where other workers listen on
   the same socket they go on, and this one alone stops taking connections.
3. Idle connections are closed, new ones when they have had time for their first request; those that linger are not waited for; calls under
   way, and requests whose headers have begun to come, are answered.
"""

import asyncio
import contextlib
import ctypes
import signal
import socket
import struct
from collections.abc import Callable, Sequence
from types import FrameType

import uvicorn

from gatehouse.server.connection import Connection
from gatehouse.server.connections import Connections

SO_ATTACH_FILTER = 26
"""Linux; where it means something else or nothing, a handshake at the wrong moment is reset."""
HANDSHAKES_S = 0.1
"""For connections whose handshake is under way; they must still be taken."""
TICK_S = 0.05
_NO_NEW_HANDSHAKE = ((0x30, 0, 0, 13), (0x54, 0, 0, 0x12), (0x15, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0x40000))
"""Classic BPF over the TCP header: its flags; of SYN and ACK; where it is SYN alone, drop it; else let it in."""


class DrainingServer(uvicorn.Server):
    """uvicorn's, which announces its end for `drain_s` before it closes the door. Ctrl-C is in a hurry and announces nothing."""

    def __init__(self, config: uvicorn.Config, connections: Connections, drain_s: float, others_listen: Callable[[], bool]) -> None:
        super().__init__(config)
        self._others_listen = others_listen
        self._connections = connections
        self._drain_s = drain_s

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if sig == signal.SIGINT:
            self._drain_s = 0
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._connections.draining = True
        for connection in list(self.server_state.connections):
            if isinstance(connection, Connection):
                connection.answer_is_the_last()
        await self._wait(self._drain_s)
        if self._others_listen():  # the filter belongs to the socket, which is theirs too
            for server in self.servers:
                server.close()
        else:
            begin_no_handshake(sockets or [])
        await self._wait(HANDSHAKES_S)
        await super().shutdown(sockets)
        self._connections.end_lingering()
        await asyncio.sleep(0)  # for the system to be told

    async def _wait(self, seconds: float) -> None:
        """So long, without the time in which this machine or this process stood still, when nobody was answered; at most twice as long."""
        loop = asyncio.get_running_loop()
        left, before = seconds, loop.time()
        ends_at = before + 2 * seconds
        while left > 0 and before < ends_at and not self.force_exit:  # a signal handler ends it
            await asyncio.sleep(TICK_S)
            left -= min(loop.time() - before, 2 * TICK_S)
            before = loop.time()


def begin_no_handshake(listeners: Sequence[socket.socket]) -> None:
    """Leave SYNs unanswered, in every process that listens on these.

    Whoever connects now is refused a second later, when nobody listens, and loses no request by that.
    """
    program = b"".join(struct.pack("HBBI", *step) for step in _NO_NEW_HANDSHAKE)
    held = ctypes.create_string_buffer(program)
    given = struct.pack("HL", len(_NO_NEW_HANDSHAKE), ctypes.addressof(held))
    for listener in listeners:
        with contextlib.suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, given)
