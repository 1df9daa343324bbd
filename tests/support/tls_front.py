"""What ends TLS in front of a server in tests: it hands bytes on, as Caddy or nginx do with whole calls."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def tls_front(behind: int, context: ssl.SSLContext) -> Iterator[int]:
    """The port on which it listens; `behind` is the server's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_accept, args=(listener, behind, context), name="tls front")
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join(20)


def _accept(listener: socket.socket, behind: int, context: ssl.SSLContext) -> None:
    while True:
        try:
            plain, _ = listener.accept()
        except OSError:
            return
        with plain, suppress(OSError):  # one whose certificate is not believed ends the handshake
            plain.settimeout(10)
            with context.wrap_socket(plain, server_side=True) as client, socket.create_connection(("127.0.0.1", behind), 10) as server:
                _exchange(client, server)


def _exchange(client: ssl.SSLSocket, server: socket.socket) -> None:
    """One call, which the server is asked to be the last of its connection."""
    head, _, body = _read_head(client)
    server.sendall(head + b"\r\nConnection: close\r\n\r\n" + body)
    while part := server.recv(65536):
        client.sendall(part)


def _read_head(client: ssl.SSLSocket) -> tuple[bytes, bytes, bytes]:
    read = b""
    while b"\r\n\r\n" not in read:
        part = client.recv(65536)
        if not part:
            raise ConnectionResetError
        read += part
    head, end, body = read.partition(b"\r\n\r\n")
    size = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < size:
        body += client.recv(65536)
    return head, end, body
