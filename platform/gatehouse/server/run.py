"""Runs the ASGI app under uvicorn with httptools and uvloop, on a socket that was bound before."""

import asyncio
import errno
import math
import socket
from collections.abc import Callable
from functools import partial
from typing import cast

import uvicorn
from starlette.types import ASGIApp

from gatehouse.server.connection import Connection
from gatehouse.server.connections import Connections
from gatehouse.server.drain import DrainingServer
from gatehouse.server.garbage import leave_out_what_is_loaded
from gatehouse.server.open_files import room_for

BACKLOG = 1024


class PortTaken(Exception):
    """One line that says what to do."""


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises PortTaken, or OSError for a host that is not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(f"port {port} is taken; stop what uses it or choose another one (--port, make run PORT=)") from None
        raise
    return listener


def alone() -> bool:
    """No other process listens on the same socket."""
    return False


def server_for(
    app: ASGIApp, connections: Connections, grace_s: float, drain_s: float = 0, others_listen: Callable[[], bool] = alone
) -> DrainingServer:
    """A server of one process, which announces its end for `drain_s` after SIGTERM; calls may take `grace_s` more.

    It believes no forwarded header, names no product and writes no log of its own.
    """
    connections.at_once = room_for(connections.limits.at_once)
    config = uvicorn.Config(
        app,
        interface="asgi3",  # also where its `__call__` is a plain function that returns what is to be awaited
        loop="uvloop",
        http=cast(type[asyncio.Protocol], partial(Connection, connections=connections)),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(grace_s),
    )
    return DrainingServer(config, connections, drain_s, others_listen)


def run(
    app: ASGIApp,
    connections: Connections,
    listener: socket.socket,
    grace_s: float,
    drain_s: float,
    others_listen: Callable[[], bool] = alone,
) -> None:
    """Serve until a signal ends it; that is announced for `drain_s`, and calls under way are finished, for at most `grace_s`.

    `others_listen` is asked at the end: whether other processes go on taking connections of this listener.
    """
    leave_out_what_is_loaded()
    server_for(app, connections, grace_s, drain_s, others_listen).run(sockets=[listener])
