"""Who is calling, and may they call now. No byte of the body is read before this."""

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from gatehouse.call import CONNECTION_KEY, SCOPE_KEY, Call, Route
from gatehouse.errors import CredentialInvalid, CredentialMalformed, CredentialMissing, IdentityUnavailable, Problem
from gatehouse.principal import Principal, Verified

_BEARER = re.compile(rb"bearer(?: +(.*))?", re.IGNORECASE)
CHALLENGE = 'Bearer realm="gatehouse"'
MAX_CREDENTIAL_BYTES = 4096
LOOK_UP_DEADLINE_S = 5.0
RETRY_AFTER_S = "5"


class Credentials(Protocol):
    """What admission needs of identity; both are quick."""

    generation: int

    def recall(self, text: str, address: str) -> Principal | None: ...

    def remember(self, text: str, verified: Verified, generation: int) -> None: ...


class Failures(Protocol):
    """What admission needs of the limit on failed credentials by address."""

    def check(self, address: str) -> None:
        """Raises TooManyFailures when no more credential from there is to be looked up."""


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
    """`prove` looks a credential up (text, caller's address), counts a failure, and may block."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        match: Callable[[str], Route | None],
        access: Access,
        credentials: Credentials,
        prove: Callable[[str, str], Verified],
        failures: Failures,
        door: Door,
        threads: Executor,
    ) -> None:
        self.app = app
        self.match = match
        self.access = access
        self.credentials = credentials
        self.prove = prove
        self.failures = failures
        self.door = door
        self.threads = threads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        call: Call = scope[SCOPE_KEY]
        path: str = scope["path"]
        if path in self.access.public:
            await self.app(scope, receive, send)
            return
        text = credential_of(scope, optional=path in self.access.optional)
        if text is not None:
            call.principal = principal = self._recall(text, call.address) or await self._look_up(text, call)
            call.route = self.match(path)
            if call.route is not None:  # by whatever method: each of these calls is written down as usage
                queued = self.door.enter(call, principal)
                if queued is not None:
                    await self._take_turn(queued, scope)
                try:
                    await self.app(scope, receive, send)
                finally:
                    self.door.leave(principal)
                return
            call.credential = text
        await self.app(scope, receive, send)

    async def _take_turn(self, queued: Any, scope: Scope) -> None:
        connection = scope.get(CONNECTION_KEY)
        if connection is None:  # another server than ours: then the deadline alone ends the waiting
            await self.door.turn(queued)
            return
        connection.when_lost = queued.abandon
        try:
            await self.door.turn(queued)
        finally:
            connection.when_lost = None

    def _recall(self, text: str, address: str) -> Principal | None:
        try:
            return self.credentials.recall(text, address)
        except CredentialInvalid as refusal:
            raise challenged(refusal) from None

    async def _look_up(self, text: str, call: Call) -> Principal:
        self.failures.check(call.address)
        generation = self.credentials.generation
        try:
            async with asyncio.timeout(LOOK_UP_DEADLINE_S):
                proven = await asyncio.get_running_loop().run_in_executor(self.threads, self.prove, text, call.address)
        except (CredentialInvalid, CredentialMalformed) as refusal:
            raise challenged(refusal) from None
        except TimeoutError:  # a database that hangs answers nothing, not even an error
            raise IdentityUnavailable(reason="identity_database_hangs", headers=[("Retry-After", RETRY_AFTER_S)]) from None
        self.credentials.remember(text, proven, generation)
        return proven.principal


def credential_of(scope: Scope, *, optional: bool) -> str | None:
    """The one credential that the headers hold. None where it is optional and missing.

    Raises CredentialMissing, CredentialInvalid (also for two of them, RFC 6750 2), CredentialMalformed.
    """
    authorization: list[bytes] = []
    api_keys: list[bytes] = []
    for name, value in scope["headers"]:
        if name == b"authorization":
            authorization.append(value)
        elif name == b"x-api-key":
            api_keys.append(value)
    if len(authorization) + len(api_keys) > 1:
        raise challenged(CredentialInvalid(reason="two_credentials"))
    if api_keys:
        sent = api_keys[0]
    else:
        bearer = _BEARER.fullmatch(authorization[0]) if authorization else None
        sent = (bearer[1] or b"") if bearer else b""
    text = sent.strip().decode("latin-1")
    if not text:
        if optional and not authorization and not api_keys:
            return None
        raise challenged(CredentialMissing(reason="credential_missing"))
    if len(text) > MAX_CREDENTIAL_BYTES:
        raise challenged(CredentialInvalid(reason="credential_too_long"))
    if api_keys and "." in text:
        raise challenged(CredentialMalformed(reason="token_in_x_api_key"))
    return text


def challenged(refusal: Problem) -> Problem:
    """Add the challenge of RFC 6750 3, which names no error where no credential was sent."""
    missing = isinstance(refusal, CredentialMissing)
    challenge = CHALLENGE if missing else f'{CHALLENGE}, error="invalid_token"'
    refusal.headers = (*refusal.headers, ("WWW-Authenticate", challenge))
    return refusal
