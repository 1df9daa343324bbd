"""deploy/nginx.conf, with names, ports and certificate of a test; and nginx itself run on it."""

import datetime
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from stage import wait_until
from wire import Wire

CONF = Path(__file__).parents[2] / "deploy" / "nginx.conf"
ONE_SERVER = CONF.with_name("nginx-one-server.conf")


def nginx_program() -> str:
    """Where nginx lies; fails with what to install."""
    found = shutil.which("nginx")
    assert found, "nginx is not installed: apt-get install nginx-light, or the like"
    return found


def written_for(folder: Path, replicas: tuple[int, int], listen: str) -> Path:
    """The file as it ships but for where it listens, where the replicas are and where it writes."""
    text = CONF.read_text(encoding="utf-8")
    place = {
        "replica-1:8000": f"127.0.0.1:{replicas[0]}",
        "replica-2:8000": f"127.0.0.1:{replicas[1]}",
        "listen 443 ssl": f"listen {listen}",
        "/etc/nginx/tls": str(folder),
        "worker_processes auto;": f"worker_processes 1;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\ndaemon off;\n",
    }
    for name, value in place.items():
        assert text.count(name) >= 1, name
        text = text.replace(name, value)
    file = folder / "nginx.conf"
    file.write_text(text.replace("http {\n", "http {\n" + _temporary(folder), 1), encoding="utf-8")
    write_certificate(folder)
    return file


def _temporary(folder: Path) -> str:
    return "".join(f"    {kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))


def one_server_written_for(folder: Path, server: int = 8000, port: int = 8443) -> Path:
    """The other file, which is one of sites, in the smallest file that includes it."""
    write_certificate(folder)
    text = ONE_SERVER.read_text(encoding="utf-8")
    place = {"/etc/letsencrypt/live/api.example.org": str(folder), "listen 443": f"listen 127.0.0.1:{port}", ":8000": f":{server}"}
    for name, value in place.items():
        assert name in text
        text = text.replace(name, value)
    site, file = folder / "site.conf", folder / "nginx.conf"
    site.write_text(text)
    around = f"pid {folder}/nginx.pid;\nerror_log {folder}/error.log;\ndaemon off;\nevents {{}}\n"
    file.write_text(f"{around}http {{\n    {_temporary(folder)}    include {site};\n}}\n")
    return file


def write_certificate(folder: Path) -> None:
    """One that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
    (folder / "fullchain.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "privkey.pem").write_bytes(plain)


@contextmanager
def nginx_before(folder: Path, replicas: tuple[int, int], port: int) -> Iterator[int]:
    """nginx on `port`, without TLS."""
    with nginx_on(folder, written_for(folder, replicas, f"127.0.0.1:{port}"), port):
        yield port


@contextmanager
def nginx_on(folder: Path, file: Path, port: int) -> Iterator[None]:
    """nginx by this file, which has it listen on `port`."""
    with subprocess.Popen([nginx_program(), "-p", str(folder), "-c", str(file)]) as process:
        try:
            wait_until(lambda: answers(port))
            yield
        finally:
            process.terminate()


def answers(port: int) -> bool:
    try:
        Wire(port, 1).close()
    except OSError:
        return False
    return True
