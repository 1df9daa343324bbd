"""Who is calling, and may they call now. No byte of the body is read before this."""

import re
import time
from collections.abc import Callable
from typing import Any, Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from gatehouse.call import CONNECTION_KEY, SCOPE_KEY, Call, Fields, Route
from gatehouse.errors import CredentialInvalid, CredentialMalformed, CredentialMissing
from gatehouse.identity.proof import CredentialNotGood
from gatehouse.middleware.people import check_person
from gatehouse.middleware.recognition import Recognition, challenged
from gatehouse.principal import Principal

_BEARER = re.compile(rb"bearer(?: +(.*))?", re.IGNORECASE)
MAX_CREDENTIAL_BYTES = 4096
_ONCE = frozenset({b"authorization", b"x-api-key"})


class Door(Protocol):
    """What admission needs of the limits on predictions."""

    def enter(self, call: Call, principal: Principal) -> Any:
        """One request out of every request limit, and a place. None, or what `turn` takes. Raises RateLimited, Overloaded."""

    async def turn(self, queued: Any) -> None:
        """Wait for the place. Raises Overloaded, ClientGone. `queued.abandon()` ends it when the caller has gone."""

    def leave(self, principal: Principal) -> None:
        """Give the place back."""


class Access:
    """How a path is entered: public, public but better with a credential, or (all else) with one."""

    def __init__(self, public: frozenset[str], optional: frozenset[str]) -> None:
        self.public = public
        self.optional = optional


class Admission:
    """Every path but the public ones is entered by a credential; a prediction also by its limits."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        match: Callable[[str], Route | None],
        access: Access,
        recognition: Recognition,
        door: Door,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.app = app
        self.match = match
        self.public = access.public
        self.optional = access.optional
        self.recognition = recognition
        self.door = door
        self.now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call: Call = scope[SCOPE_KEY]
        path: str = scope["path"]
        if path in self.public:
            await self.app(scope, receive, send)
            return
        text = credential_of(call.fields, optional=path in self.optional)
        if text is not None:
            call.credential = text
            try:
                call.principal = principal = self.recognition.recall(call) or await self.recognition.look_up(call)
            except CredentialNotGood as refusal:
                call.holder = refusal.holder if self.match(path) is not None else None
                raise
            if principal.person_id:
                check_person(principal, scope["method"], path, self.now())
            route = call.route = self.match(path)
            if route is not None:  # by whatever method: each of these calls is written down as usage
                queued = self.door.enter(call, principal)
                if queued is not None:
                    await self._take_turn(queued, scope)
                try:
                    await self.app(scope, receive, send)
                finally:
                    self.door.leave(principal)
                return
        await self.app(scope, receive, send)

    async def _take_turn(self, queued: Any, scope: Scope) -> None:
        connection = scope.get(CONNECTION_KEY)
        if connection is None:  # another server than ours: then the deadline alone ends the waiting
            await self.door.turn(queued)
            return
        connection.when_lost(queued.abandon)
        try:
            await self.door.turn(queued)
        finally:
            connection.when_lost(None)


def credential_of(fields: Fields, *, optional: bool) -> str | None:
    """The one credential that the headers hold. None where it is optional and missing.

    Raises CredentialMissing, CredentialInvalid (also for two of them, RFC 6750 2), CredentialMalformed.
    """
    authorization, api_key = fields.get(b"authorization"), fields.get(b"x-api-key")
    if fields.repeated and not _ONCE.isdisjoint(fields.repeated):
        raise challenged(CredentialInvalid(reason="two_credentials"))
    if authorization is None:
        sent = api_key or b""
    elif api_key is None:
        bearer = _BEARER.fullmatch(authorization)
        sent = (bearer[1] or b"") if bearer else b""
    else:
        raise challenged(CredentialInvalid(reason="two_credentials"))
    text = sent.strip().decode("latin-1")
    if not text:
        if optional and authorization is None and api_key is None:
            return None
        raise challenged(CredentialMissing(reason="credential_missing"))
    if len(text) > MAX_CREDENTIAL_BYTES:
        raise challenged(CredentialInvalid(reason="credential_too_long"))
    if api_key is not None and "." in text:
        raise challenged(CredentialMalformed(reason="token_in_x_api_key"))
    return text
