"""The address that a tenant is told at, taken apart strictly: what is checked is what is called."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import NoReturn

from gatehouse.errors import Refused
from gatehouse.notices.addresses import may_be_called
from gatehouse.principal import Network

MOST_CHARACTERS = 1023
ALLOW = "GATEHOUSE_NOTICES_NETWORKS"
_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?:(?P<name>[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?)|\[(?P<v6>[0-9A-Fa-f:.]{2,45})\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>[/?][!\x24-\x5b\x5d-\x7e\"]*)?",
    re.ASCII,
)
PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class TargetUrl:
    scheme: str
    host: str
    """A name, or an address without brackets."""
    port: int
    path: str
    """With its query."""

    @property
    def authority(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """Without the path, which may hold a secret of the partner's."""
        return f"{self.scheme}://{self.authority}"


def parse_target(text: str, allowed: Sequence[Network]) -> TargetUrl:
    """A URL as the operator gives it. Raises Refused; a name is checked by its addresses, at each delivery."""
    url = read_target(text)
    if url.scheme == "http" and not allowed:
        raise Refused(f"a notice is sent by https:// alone; http:// only into networks that {ALLOW} names")
    if _is_address(url.host) and not may_be_called(url.host, allowed):
        remedy = f"where notices may go there, add its network to {ALLOW}"
        raise Refused(f"{url.host} is no public address; {remedy}", fact=f"this is no public address; {remedy}")
    return url


def read_target(text: str) -> TargetUrl:
    """A URL, taken apart. Raises Refused."""
    found = _URL.fullmatch(text) if len(text) <= MOST_CHARACTERS else None
    port = int(found["port"] or PORTS[found["scheme"]]) if found else 0
    if found is None or not 0 < port < 65_536 or (found["v6"] and not _is_address(found["v6"])):
        _refuse(text)
    path = found["path"] or "/"
    return TargetUrl(found["scheme"], (found["name"] or found["v6"]).lower(), port, path if path[0] == "/" else f"/{path}")


def _refuse(text: str) -> NoReturn:
    if "@" in text.partition("//")[2].partition("/")[0]:
        raise Refused("no user or password in the URL: the signature proves who sends")
    if not text.isascii():
        raise Refused("write the URL in ASCII: a name as xn--…, a path percent-encoded")
    raise Refused("write the URL as https://hooks.example.org/gatehouse, without spaces, # and \\")


def _is_address(text: str) -> bool:
    try:
        return bool(ip_address(text))
    except ValueError:
        return False
