"""A small proxy in front of several servers, as strict as nginx is with POST: a call is sent once and never again.

It keeps its connections to the servers, takes them in turn, and goes on to the next server only where it could not connect.
"""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

BAD_GATEWAY = b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Proxy:
    """`failures` names what went wrong between it and the servers."""

    def __init__(self, servers: Sequence[int]) -> None:
        self.servers = list(servers)
        self.kept: dict[int, list[Streams]] = {port: [] for port in servers}
        self.failures: list[str] = []
        self.port = 0
        self.turn = 0

    async def serve(self, client: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client."""
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    writer.write(await self.forward(await message(client)))
        finally:
            writer.close()

    async def forward(self, request: bytes) -> bytes:
        self.turn += 1
        turn = self.turn
        refusals = []
        for n in range(len(self.servers)):
            port = self.servers[(turn + n) % len(self.servers)]
            try:
                return await self.exchange(port, self.open_one(port) or await asyncio.open_connection("127.0.0.1", port), request)
            except OSError as error:
                refusals.append(type(error).__name__)
        self.failures.append(f"no server could be connected to: {refusals}")
        return BAD_GATEWAY

    def open_one(self, port: int) -> Streams | None:
        """A kept connection that the server has not closed."""
        while self.kept[port]:
            streams = self.kept[port].pop()
            if not streams[0].at_eof():
                return streams
            streams[1].close()
        return None

    def close(self) -> None:
        for streams in self.kept.values():
            for _, writer in streams:
                writer.close()

    async def exchange(self, port: int, streams: Streams, request: bytes) -> bytes:
        reader, writer = streams
        try:
            writer.write(request)
            answer = await message(reader)
        except (OSError, asyncio.IncompleteReadError) as error:
            writer.close()
            self.failures.append(f"{type(error).__name__} after a call was sent")
            return BAD_GATEWAY
        if b"connection: close" in answer.partition(b"\r\n\r\n")[0].lower():
            writer.close()
            return answer.replace(b"connection: close\r\n", b"", 1)
        self.kept[port].append(streams)
        return answer


async def message(reader: asyncio.StreamReader) -> bytes:
    """A request or an answer, whole; its body has a Content-Length."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    return head + await reader.readexactly(length)


@contextmanager
def proxy_to(*servers: int) -> Iterator[Proxy]:
    """A proxy that runs in a thread of its own."""
    proxy = Proxy(servers)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="proxy")
    thread.start()
    listening = asyncio.run_coroutine_threadsafe(asyncio.start_server(proxy.serve, "127.0.0.1", 0), loop).result()
    proxy.port = listening.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        asyncio.run_coroutine_threadsafe(end(listening, proxy), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def end(listening: asyncio.Server, proxy: Proxy) -> None:
    """No task and no connection is left."""
    listening.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    proxy.close()
    await asyncio.sleep(0.01)  # transports close in the next round of the loop
