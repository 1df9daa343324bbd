"""Is the request well-formed: version, method, target, Host, framing and the size of its headers. Before anybody is asked who they are."""

from collections.abc import Awaitable
from functools import lru_cache
from itertools import chain

from starlette.types import ASGIApp, Receive, Scope, Send

from gatehouse.call import CONTROLS, REFUSAL_KEY, SCOPE_KEY, Call, Fields
from gatehouse.errors import HeadersTooLarge, MalformedRequest, MethodNotAllowed, TargetTooLong
from gatehouse.middleware.allowed_hosts import AllowedHosts
from gatehouse.middleware.problems import DISCARDED_BODY_BYTES

MAX_TARGET_BYTES = 2048
MAX_HEADERS = 100
MAX_HEADER_BYTES = 16 * 1024
MAX_LENGTH_DIGITS = 19
_STAY_AWAY = frozenset({b"transfer-encoding", b"expect", b"upgrade"})
"""Behind these a body may come or not, and behind the last nothing is read."""
_VERSIONS = ("1.1", "1.0")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Framing:
    def __init__(self, app: ASGIApp, hosts: AllowedHosts) -> None:
        self.app = app
        self.hosts = hosts

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        check_framing(scope, self.hosts)
        return self.app(scope, receive, send)


def check_framing(scope: Scope, allowed: AllowedHosts) -> None:
    """Raises MethodNotAllowed, TargetTooLong, HeadersTooLarge, MalformedRequest, or what the server found; notes an announced body."""
    call: Call = scope[SCOPE_KEY]
    if REFUSAL_KEY in scope:
        raise scope[REFUSAL_KEY]
    fields, headers = call.fields, scope["headers"]
    call.declared_bytes = declared = _declared_bytes(fields.get(b"content-length", b"0"))
    doubtful = fields.repeated or not _STAY_AWAY.isdisjoint(fields)  # rare: else three of the checks need no look of their own
    if doubtful or declared > DISCARDED_BODY_BYTES:
        call.body_pending = _refusal_closes(call)
    if scope["http_version"] not in _VERSIONS:
        call.body_pending = True
        raise MalformedRequest("This service speaks HTTP/1.1 and HTTP/1.0.", reason="http_version")
    if scope["method"] not in _METHODS:
        raise MethodNotAllowed(headers=[("Allow", ", ".join(sorted(_METHODS)))], reason="method_refused")
    if len(scope["raw_path"] + scope["query_string"]) > MAX_TARGET_BYTES:
        raise TargetTooLong()
    text = b"".join(chain.from_iterable(headers))
    if len(headers) > MAX_HEADERS or len(text) > MAX_HEADER_BYTES:
        raise HeadersTooLarge()
    if doubtful or fields.get(b"host") not in allowed.usual:
        _check_host(scope, fields, allowed)
    if doubtful:
        _check_codings(call, fields, scope["http_version"])
    if text.translate(None, CONTROLS) != text:
        raise MalformedRequest("A header holds a control character.", reason="header_control_character")


def _check_host(scope: Scope, fields: Fields, allowed: AllowedHosts) -> None:
    host = fields.single(b"host")
    if host is None:
        if scope["http_version"] != "1.0" or b"host" in fields:
            raise MalformedRequest("The request needs one Host header.", reason="host_count")
    elif host not in allowed.usual:
        allowed.check(host, scope["path"])


def _check_codings(call: Call, fields: Fields, version: str) -> None:
    if b"transfer-encoding" in fields and ((fields.single(b"transfer-encoding") or b"").lower() != b"chunked" or version == "1.0"):
        raise MalformedRequest("The only transfer coding is 'chunked', once, in HTTP/1.1.", reason="transfer_coding")
    if b"upgrade" in fields:
        # the parser reads no body behind it, and nothing that follows on this connection
        call.body_pending = True
        raise MalformedRequest("This service speaks HTTP/1.1 and nothing else. Send the request without Upgrade.", reason="upgrade")


@lru_cache(maxsize=1024)
def _declared_bytes(length: bytes) -> int:
    """What a Content-Length says; only what is one is remembered, and that is short."""
    if not length.isdigit() or len(length) > MAX_LENGTH_DIGITS:
        raise _no_length()
    return int(length)


def _refusal_closes(call: Call) -> bool:
    """Whether the connection ends when the call is refused: much of the body may be left, or nobody knows whether it will be sent."""
    if b"content-length" in call.fields.repeated:
        raise _no_length()
    return not _STAY_AWAY.isdisjoint(call.fields) or call.declared_bytes > DISCARDED_BODY_BYTES


def _no_length() -> MalformedRequest:
    return MalformedRequest("Content-Length is not a number.", reason="content_length")
