"""A partner's real address: a local HTTP or HTTPS server that keeps what it gets, and answers as it is told."""

import base64
import datetime
import hashlib
import hmac
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Taken:
    path: str
    headers: Mapping[str, str]
    body: bytes
    sni: str | None = None


def signed_by(secret: str, taken: Taken) -> bool:
    """Whether one of the signatures is this secret's, by the words of the specification and by nothing of ours."""
    signed = f"{taken.headers['webhook-id']}.{taken.headers['webhook-timestamp']}.".encode() + taken.body
    digest = hmac.new(base64.b64decode(secret[len("whsec_") :]), signed, hashlib.sha256).digest()
    given = [each.split(",", 1) for each in taken.headers["webhook-signature"].split(" ")]
    return any(version == "v1" and hmac.compare_digest(base64.b64decode(value), digest) for version, value in given)


@dataclass
class TargetServer:
    """`statuses` are answered one after the other, then 204."""

    port: int
    statuses: list[int] = field(default_factory=list)
    taken: list[Taken] = field(default_factory=list)
    location: str = ""
    holding: threading.Event = field(default_factory=threading.Event)
    """While it is cleared, nothing is answered."""
    came: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    names: list[str | None] = field(default_factory=list)

    def wait(self) -> Taken:
        """The next one that comes."""
        assert self.came.acquire(timeout=20)
        return self.taken[-1]


@contextmanager
def target_server(tls: ssl.SSLContext | None = None) -> Iterator[TargetServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            state.taken.append(Taken(self.path, headers, body, state.names[-1] if state.names else None))
            state.came.release()
            state.holding.wait(20)
            status = state.statuses.pop(0) if state.statuses else 204
            with suppress(OSError):  # whoever asked has gone
                self.send_response(status)
                if state.location:
                    self.send_header("Location", state.location)
                self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            pass  # a handshake that the other side has refused

        def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
            with suppress(OSError):
                super().shutdown_request(request)  # type: ignore[arg-type]

    server = Server(("127.0.0.1", 0), Handler)
    state = TargetServer(server.server_address[1])
    state.holding.set()
    if tls is not None:
        tls.sni_callback = lambda _socket, name, _context: state.names.append(name)
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        state.holding.set()
        server.shutdown()
        thread.join()
        server.server_close()


def certificate(folder: Path, name: str, life: datetime.timedelta = datetime.timedelta(hours=1)) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """What a server of this name has, and what a client trusts; both are in the file NAME.pem too."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + life)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{name}.pem"
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cadata=made.public_bytes(serialization.Encoding.PEM).decode())
