"""One POST to a target: its name is resolved, all its addresses are checked, and the connection goes to a checked one.

Asked for anew at each delivery, so that what a name says later (DNS rebinding) is checked as well. Nothing is followed: a redirect
is a failure. No proxy is used, and nothing of the answer is kept but its status.
"""

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from ipaddress import ip_address

from gatehouse.notices.addresses import is_allowed, may_be_called
from gatehouse.notices.target_url import ALLOW, TargetUrl
from gatehouse.principal import Network

DEADLINE_S = 15.0
CONNECT_S = 4.0
"""To one of several addresses."""
REST_S = 1.0
"""For the rest of the answer, which decides nothing."""
LINE_BYTES = 8 * 1024
MOST_LINES = 100
REST_BYTES = 64 * 1024
MOST_ADDRESSES = 4
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})[ \r\n]")

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Addresses of a name. Raises OSError."""


class NotDelivered(Exception):
    """One line that says why, for the operator."""


class Courier:
    """Delivers into public networks and `allowed` ones; http:// into the latter only."""

    def __init__(self, allowed: Sequence[Network], resolve: Resolve, tls: ssl.SSLContext, *, deadline_s: float = DEADLINE_S) -> None:
        self._allowed = allowed
        self._resolve = resolve
        self._tls = tls
        self._deadline_s = deadline_s

    async def post(self, url: TargetUrl, headers: Mapping[str, str], body: bytes) -> int:
        """The status of the answer. Raises NotDelivered; nothing takes longer than the deadline."""
        try:
            async with asyncio.timeout(self._deadline_s):
                reader, writer = await self._connect(url)
                try:
                    writer.write(_request(url, headers, body))
                    await writer.drain()
                    return await _status(reader)
                finally:
                    writer.transport.abort()
        except TimeoutError:
            raise NotDelivered(f"no answer within {self._deadline_s:g} s") from None
        except ssl.SSLCertVerificationError as error:
            raise NotDelivered(f"its certificate is not good: {error.verify_message}") from None
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            raise NotDelivered("its answer is no HTTP/1.1") from None
        except OSError as error:
            raise NotDelivered(f"the connection failed: {_reason(error)}") from None

    async def _connect(self, url: TargetUrl) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        tls = {"ssl": self._tls, "server_hostname": url.host} if url.scheme == "https" else {}
        *others, last = (await self._addresses(url))[:MOST_ADDRESSES]
        for address in others:
            with suppress(OSError):  # nobody is there, or no road leads there: the next one
                async with asyncio.timeout(CONNECT_S):
                    return await asyncio.open_connection(address, url.port, limit=LINE_BYTES, **tls)  # type: ignore[arg-type]
        return await asyncio.open_connection(last, url.port, limit=LINE_BYTES, **tls)  # type: ignore[arg-type]

    async def _addresses(self, url: TargetUrl) -> Sequence[str]:
        """All addresses of the target, of which each may be called."""
        found = await self._resolve(url.host, url.port)
        if not found:
            raise NotDelivered(f"{url.host} has no address")
        for address in found:
            if not may_be_called(address, self._allowed):
                raise NotDelivered(f"{address} is no public address, and {ALLOW} does not name it: refused")
            if url.scheme == "http" and not is_allowed(ip_address(address), self._allowed):
                raise NotDelivered(f"{ALLOW} does not name {address}: refused, since http:// goes nowhere else")
        return found


def _request(url: TargetUrl, headers: Mapping[str, str], body: bytes) -> bytes:
    fields = {
        "Host": url.authority,
        "User-Agent": f"Gatehouse/{version('gatehouse')}",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
        **headers,
    }
    lines = [f"POST {url.path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


async def _status(reader: asyncio.StreamReader) -> int:
    """The final status; the rest is read as far as it comes soon, so that the target is not cut off, and thrown away."""
    for _ in range(MOST_LINES):
        found = _STATUS.match(await reader.readuntil(b"\n"))
        if found is None:
            raise NotDelivered("its answer is no HTTP/1.1")
        if int(found[1]) >= 200:
            await _read_rest(reader)
            return int(found[1])
        await _skip_head(reader)  # 100 Continue, 103 Early Hints
    raise NotDelivered("its answer has no end")


async def _skip_head(reader: asyncio.StreamReader) -> None:
    for _ in range(MOST_LINES):
        if not (await reader.readuntil(b"\n")).strip():
            return
    raise NotDelivered("its answer has no end")


async def _read_rest(reader: asyncio.StreamReader) -> None:
    left = REST_BYTES
    with suppress(TimeoutError, OSError):
        async with asyncio.timeout(REST_S):
            while left > 0 and (read := await reader.read(LINE_BYTES)):
                left -= len(read)


def _reason(error: OSError) -> str:
    """Without the addresses and paths that some messages hold."""
    return error.strerror or type(error).__name__
