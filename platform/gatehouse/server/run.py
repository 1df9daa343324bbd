"""Runs the ASGI app under uvicorn with httptools and uvloop, on a socket that was bound before."""

import errno
import math
import socket

import uvicorn
from starlette.types import ASGIApp

from gatehouse.server.connection import Connection

KEEP_ALIVE_S = 20
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


def server_for(app: ASGIApp, grace_s: float) -> uvicorn.Server:
    """A server of one process, whose calls may take `grace_s` after SIGTERM.

    It believes no forwarded header, names no product and writes no log of its own.
    """
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=Connection,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=math.ceil(grace_s),
    )
    return uvicorn.Server(config)


def run(app: ASGIApp, listener: socket.socket, grace_s: float) -> None:
    """Serve until a signal ends it; calls that are under way are finished first, for at most `grace_s`."""
    server_for(app, grace_s).run(sockets=[listener])
