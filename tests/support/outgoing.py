"""What the whole suite is watched for: this process, and with it every server in one of its threads, connects to this machine alone."""

import ipaddress
import sys
from typing import Any

_CONNECTING = ("socket.connect", "socket.sendto")
_LOOKING_UP = ("socket.getaddrinfo", "socket.gethostbyname")
_found: list[str] = []


def is_here(host: object) -> bool:
    """Whether it is this machine: loopback, its name, a socket in the file system, or (asked for a socket to listen on) no host at all."""
    if host is None:
        return True
    name = host.decode("utf-8", "replace") if isinstance(host, bytes) else str(host)
    if name in ("", "localhost") or name.startswith("/"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def found() -> list[str]:
    """What was connected to, or looked up, since this was asked last, and is not here."""
    taken = list(_found)
    _found.clear()
    return taken


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _CONNECTING:
        target = arguments[1]
        host = target[0] if isinstance(target, tuple) else target
    elif event in _LOOKING_UP:
        host = arguments[0]
    else:
        return
    if not is_here(host):
        _found.append(f"{event} {host!r}")


sys.addaudithook(_note)
