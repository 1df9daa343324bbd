"""What our connection costs a call, against uvicorn's own: CPU of a server process with an app that only answers, in turns.

Target: within 1 us of uvicorn's. `python scripts/bench/connections.py [--rounds 8] [--idle 2000]`
"""

import argparse
import asyncio
import multiprocessing
import os
import socket
import statistics
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import uvicorn

from gatehouse.server.connections import ConnectionLimits, Connections
from gatehouse.server.run import bind, server_for

CALLS = 20_000
REQUEST = b"GET /health HTTP/1.1\r\nHost: bench\r\n\r\n"


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """The least that an app can do."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def serve(listener: socket.socket, ours: bool) -> None:
    """Until the process is ended."""
    if ours:
        server_for(answer, Connections(ConnectionLimits(10_000, 10_000, 10, 75)), 1).run(sockets=[listener])
    else:
        config = uvicorn.Config(answer, loop="uvloop", http="httptools", ws="none", log_config=None, access_log=False, server_header=False)
        asyncio.set_event_loop_policy(None)
        uvicorn.Server(config).run(sockets=[listener])


def cpu_s(pid: int) -> float:
    """Of a process so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def call(port: int) -> None:
    """CALLS calls on one connection, one after the other."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(CALLS):
            connection.sendall(REQUEST)
            received = b""
            while not received.endswith(b"\r\n\r\nok"):
                received += connection.recv(4096)


def main() -> None:
    """Print the CPU of a call of each, with and without idle connections beside it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--idle", type=int, default=2000)
    given = parser.parse_args()
    context = multiprocessing.get_context("fork")
    listeners = {name: bind("127.0.0.1", 0) for name in ("uvicorn", "ours")}
    servers = {name: context.Process(target=serve, args=(each, name == "ours"), daemon=True) for name, each in listeners.items()}
    for process in servers.values():
        process.start()
    ports = {name: each.getsockname()[1] for name, each in listeners.items()}
    with ExitStack() as stack:
        for idle in (0, given.idle):
            for port in ports.values():
                for _ in range(idle):
                    stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            spent: dict[str, list[float]] = {name: [] for name in ports}
            for _ in range(given.rounds):
                for name, port in ports.items():
                    before = cpu_s(servers[name].pid or 0)
                    call(port)
                    spent[name].append((cpu_s(servers[name].pid or 0) - before) / CALLS * 1e6)
            figures = ", ".join(f"{name} {statistics.median(each):.1f} us" for name, each in spent.items())
            print(f"CPU of a call beside {idle} idle connections: {figures}")
    for process in servers.values():
        process.terminate()


if __name__ == "__main__":
    main()
