"""Which names this service answers to.

No link or right follows the Host header, so what a foreign one could do is little. It is the trace of a name that somebody else has
pointed at this service (DNS rebinding), or of a proxy that mixes up what lies behind it: such a call is refused. Neither can be done with
an IP address, so any address passes; balancers, probes and people on the machine call by address.
"""

import re
from collections.abc import Iterable
from ipaddress import ip_address

from gatehouse.errors import MalformedRequest

_HOST = re.compile(rb"([A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{0,5})?")
"""With its port, which may be empty (RFC 3986 3.2.3)."""
FOR_ANY_HOST = frozenset({"/health", "/health/live", "/health/ready"})
"""Balancers and probes ask here, by whatever name they know; the answer tells nothing about the service."""


class AllowedHosts:
    """`names` as in GATEHOUSE_ALLOWED_HOSTS: a name, `*.name` for all below it, or `*` for every well-formed one."""

    def __init__(self, names: Iterable[str], port: int) -> None:
        given = [name.lower().removesuffix(".") for name in names]
        self._names = frozenset(given)
        self._below = tuple(name[1:] for name in given if name.startswith("*."))
        self._every = "*" in self._names
        plain = [name.encode("ascii") for name in given if not {"*", ":"} & set(name)]
        self.usual = frozenset([*plain, *(b"%b:%d" % (name, port) for name in plain)])
        """Header values as they nearly always come: one look-up on the road of a call."""

    def check(self, value: bytes, path: str) -> None:
        """The Host of a call to `path`. Raises MalformedRequest, which never says what the Host was."""
        found = _HOST.fullmatch(value)
        if found is None:
            raise MalformedRequest("The Host header is not a host name.", reason="host_malformed")
        if not (self._allows(found[1].decode("ascii").lower().removesuffix(".")) or path in FOR_ANY_HOST):
            raise MalformedRequest(
                "This service does not answer to the name in the Host header. Call it by the URL that you were given; "
                "its operator adds further names to GATEHOUSE_ALLOWED_HOSTS, or sets GATEHOUSE_PUBLIC_URL.",
                reason="host_not_allowed",
            )

    def _allows(self, name: str) -> bool:
        return self._every or name in self._names or name.endswith(self._below) or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
