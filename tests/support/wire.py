"""Requests as bytes on a socket, for what an HTTP client would hide or refuse to send."""

import json
import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer; header names are in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for known, value in self.headers if known == name]

    def header(self, name: str) -> str | None:
        """The value of a field that may stand once."""
        found = self.all(name)
        assert len(found) < 2, (name, found)
        return found[0] if found else None

    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """One connection."""

    def __init__(self, port: int, timeout: float = 20.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = self.socket.makefile("rb")

    def send(self, *parts: bytes) -> "Wire":
        """Send all of it."""
        self.socket.sendall(b"".join(parts))
        return self

    def send_while_taken(self, parts: Iterable[bytes], at_most: int) -> int:
        """Send until the server closes or has answered; returns the bytes that went out. Fails beyond `at_most`."""
        sent = 0
        self.socket.setblocking(True)
        for part in parts:
            try:
                self.socket.sendall(part)
            except (BrokenPipeError, ConnectionResetError):
                return sent
            sent += len(part)
            assert sent <= at_most, "the server takes more than it should"
            self.socket.settimeout(0.0005)
            try:
                answered = bool(self.socket.recv(1, socket.MSG_PEEK))
            except (TimeoutError, BlockingIOError):
                answered = False
            except ConnectionResetError:
                return sent
            self.socket.settimeout(20)
            if answered:
                return sent
        return sent

    def answer(self, method: str = "POST") -> Answer:
        """The next answer on this connection."""
        line = self._reader.readline()
        assert line.startswith(b"HTTP/1.1 "), line
        status = int(line.split()[1])
        headers: list[tuple[str, str]] = []
        while (line := self._reader.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").rstrip("\r\n").partition(":")
            headers.append((name.lower(), value.strip()))
        return Answer(status, tuple(headers), self._body(status, dict(headers), method))

    def _body(self, status: int, headers: dict[str, str], method: str) -> bytes:
        if method == "HEAD" or status < 200 or status in (204, 304):
            return b""
        if headers.get("transfer-encoding") == "chunked":
            parts = []
            while size := int(self._reader.readline(), 16):
                parts.append(self._reader.read(size + 2)[:-2])
            self._reader.readline()
            return b"".join(parts)
        return self._reader.read(int(headers["content-length"])) if "content-length" in headers else self._reader.read()

    def closed(self) -> bool:
        """Whether the server ends the connection, with nothing more to say."""
        try:
            return self._reader.read(1) == b""
        except ConnectionResetError:
            return True

    def reset(self) -> None:
        """Close with RST, as a process does that was killed with data unread."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        self._reader.close()
        self.socket.close()


@contextmanager
def wire(port: int, timeout: float = 20.0) -> Iterator[Wire]:
    """A connection that is closed at the end."""
    connection = Wire(port, timeout)
    try:
        yield connection
    finally:
        connection.close()


def head(line: str, *fields: str) -> bytes:
    """A request's head: its line and fields, with a Host."""
    return "\r\n".join([f"{line} HTTP/1.1", "Host: gatehouse.test", *fields, "", ""]).encode("latin-1")


def post(key: str | None, body: bytes, *fields: str, path: str = "/v1/models/iris/predict") -> bytes:
    """A whole prediction request."""
    credential = [f"Authorization: Bearer {key}"] if key else []
    return head(f"POST {path}", *credential, "Content-Type: application/json", f"Content-Length: {len(body)}", *fields) + body
