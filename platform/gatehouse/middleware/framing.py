"""Is the request well-formed: version, method, target, Host, framing and the size of its headers. Before anybody is asked who they are."""

import re
from collections.abc import Awaitable

from starlette.types import ASGIApp, Receive, Scope, Send

from gatehouse.call import REFUSAL_KEY, SCOPE_KEY, Call
from gatehouse.errors import HeadersTooLarge, MalformedRequest, MethodNotAllowed, TargetTooLong
from gatehouse.middleware.allowed_hosts import AllowedHosts
from gatehouse.middleware.problems import DISCARDED_BODY_BYTES

MAX_TARGET_BYTES = 2048
MAX_HEADERS = 100
MAX_HEADER_BYTES = 16 * 1024
_VERSIONS = ("1.1", "1.0")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BODY_MAY_STAY_AWAY = frozenset({b"transfer-encoding", b"expect"})
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class Framing:
    def __init__(self, app: ASGIApp, hosts: AllowedHosts) -> None:
        self.app = app
        self.hosts = hosts

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http":
            check_framing(scope, self.hosts)
        return self.app(scope, receive, send)


def check_framing(scope: Scope, allowed: AllowedHosts) -> None:
    """Raises MethodNotAllowed, TargetTooLong, HeadersTooLarge, MalformedRequest, or what the server found; notes an announced body."""
    call: Call = scope[SCOPE_KEY]
    if REFUSAL_KEY in scope:
        raise scope[REFUSAL_KEY]
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    call.body_pending = _refusal_closes(headers)
    if scope["http_version"] not in _VERSIONS:
        call.body_pending = True
        raise MalformedRequest("This service speaks HTTP/1.1 and HTTP/1.0.", reason="http_version")
    if scope["method"] not in _METHODS:
        raise MethodNotAllowed(headers=[("Allow", ", ".join(sorted(_METHODS)))], reason="method_refused")
    if len(scope["raw_path"]) + len(scope["query_string"]) > MAX_TARGET_BYTES:
        raise TargetTooLong()
    if len(headers) > MAX_HEADERS or sum(len(name) + len(value) for name, value in headers) > MAX_HEADER_BYTES:
        raise HeadersTooLarge()
    _check_fields(scope, headers, call, allowed)


def _check_fields(scope: Scope, headers: list[tuple[bytes, bytes]], call: Call, allowed: AllowedHosts) -> None:
    version = scope["http_version"]
    hosts = codings = 0
    for name, value in headers:
        if name == b"host":
            hosts += 1
            if value not in allowed.usual:
                allowed.check(value, scope["path"])
        elif name == b"transfer-encoding":
            codings += 1
            if codings > 1 or value.lower() != b"chunked" or version == "1.0":
                raise MalformedRequest("The only transfer coding is 'chunked', once, in HTTP/1.1.", reason="transfer_coding")
        elif name == b"upgrade":
            # the parser reads no body behind it, and nothing that follows on this connection
            call.body_pending = True
            raise MalformedRequest("This service speaks HTTP/1.1 and nothing else. Send the request without Upgrade.", reason="upgrade")
        elif _CONTROL.search(value):
            raise MalformedRequest("A header holds a control character.", reason="header_control_character")
    if hosts > 1 or (hosts == 0 and version != "1.0"):
        raise MalformedRequest("The request needs one Host header.", reason="host_count")


def _refusal_closes(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether the connection ends when the call is refused: much of the body may be left, or nobody knows whether it will be sent."""
    closes = False
    for name, value in headers:
        if name in _BODY_MAY_STAY_AWAY:
            closes = True
        elif name == b"content-length":
            if not value.isdigit():
                raise MalformedRequest("Content-Length is not a number.", reason="content_length")
            closes = closes or int(value) > DISCARDED_BODY_BYTES
    return closes
