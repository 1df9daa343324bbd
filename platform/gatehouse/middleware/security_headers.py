"""Headers that every answer carries, refusals included (OWASP ASVS 3.4, 14.3.2)."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_UNLESS_SET = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
_DEFAULTS = [*_ALWAYS, *_UNLESS_SET]
_SETTABLE = frozenset(name for name, _ in _UNLESS_SET)


class SecurityHeaders:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = message["headers"]
                own = {name for name, _ in given} & _SETTABLE
                message["headers"] = [*given, *(_DEFAULTS if not own else [h for h in _DEFAULTS if h[0] not in own])]
            await send(message)

        await self.app(scope, receive, send_with_headers)
