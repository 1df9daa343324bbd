"""`/metrics` on a port of its own, without a key: for whoever may reach that port. It answers this one path and nothing else."""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from typing import Self

LOG = logging.getLogger("gatehouse.metrics")
DEADLINE_S = 5.0
"""For a whole call, from its first byte to the last one of its answer."""
HEAD_BYTES = 8 * 1024
AT_ONCE = 16
"""Further connections are closed: those who scrape are few."""
TEXT = "text/plain; charset=utf-8"


class MetricsPort:
    """Serves in a thread and an event loop of its own, so that the calls of partners and the scrapes do not wait for each other."""

    def __init__(self, listener: socket.socket, render: Callable[[], bytes], content_type: str, deadline_s: float = DEADLINE_S) -> None:
        self._listener = listener
        self._render = render
        self._content_type = content_type
        self._deadline_s = deadline_s
        self.open = 0
        """Connections."""
        self._ready = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._serve(),), name="metrics-port", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        async with await asyncio.start_server(self._take, sock=self._listener, limit=HEAD_BYTES):
            self._ready.set()
            await self._end.wait()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            if self.open <= AT_ONCE:
                async with asyncio.timeout(self._deadline_s):
                    await self._answer(reader, writer)
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            pass  # too slow, or gone
        finally:
            self.open -= 1
            writer.transport.abort()  # all that was to be said is said

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            status, body = "431 Request Header Fields Too Large", b"The headers are too large.\n"
            method = b""
        else:
            method, target = _request_line(head)
            status, body = self._found(method, target)
        content_type = self._content_type if status == "200 OK" else TEXT
        allow = "allow: GET, HEAD\r\n" if status.startswith("405") else ""
        writer.write(
            f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n"
            f"cache-control: no-store\r\n{allow}connection: close\r\n\r\n".encode("ascii")
        )
        writer.write(b"" if method == b"HEAD" else body)
        writer.close()
        await writer.wait_closed()

    def _found(self, method: bytes, target: bytes) -> tuple[str, bytes]:
        if not target.startswith(b"/"):
            return "400 Bad Request", b"This is no HTTP/1.1 request.\n"
        if target.partition(b"?")[0] != b"/metrics":
            return "404 Not Found", b"Here is /metrics and nothing else.\n"
        if method not in (b"GET", b"HEAD"):
            return "405 Method Not Allowed", b"Metrics are read by GET.\n"
        try:
            return "200 OK", self._render()
        except Exception:  # the port must outlive whatever it is
            LOG.exception("the metrics could not be read")
            return "500 Internal Server Error", b"The metrics could not be read; the log says why.\n"


def _request_line(head: bytes) -> tuple[bytes, bytes]:
    """Method and target; both empty where it is no HTTP/1 request."""
    parts = head.partition(b"\r\n")[0].split(b" ")
    if len(parts) != 3 or parts[2] not in (b"HTTP/1.1", b"HTTP/1.0"):
        return b"", b""
    return parts[0], parts[1]
