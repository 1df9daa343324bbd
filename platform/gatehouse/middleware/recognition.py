"""Who a call's credential stands for: from memory where it is known, else looked up in the database."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Protocol

from gatehouse.call import Call
from gatehouse.errors import CredentialInvalid, CredentialMalformed, CredentialMissing, IdentityUnavailable, Problem
from gatehouse.identity.proof import CredentialEnded, unavailable
from gatehouse.principal import Principal, Verified

CHALLENGE = 'Bearer realm="gatehouse"'
LOOK_UP_DEADLINE_S = 5.0


class Credentials(Protocol):
    """What is asked of identity; all of it is quick."""

    generation: int
    """Rises with every change that a credential that is remembered may feel."""

    def recall(self, text: str, address: str) -> Principal | None: ...

    def remember(self, text: str, verified: Verified, generation: int) -> None: ...

    def remember_ended(self, text: str, ended: CredentialEnded, generation: int) -> None: ...


class Failures(Protocol):
    """The limit on failed credentials by address."""

    def check(self, address: str) -> None:
        """Raises TooManyFailures when no more credential from there is to be looked up."""

    def fail(self, address: str) -> None:
        """One more failure from there. Raises TooManyFailures when there may be none."""


class Recognition:
    """Used on the event loop. `prove` looks a credential up (text, caller's address), counts a failure, and may block."""

    def __init__(self, credentials: Credentials, prove: Callable[[str, str], Verified], failures: Failures, threads: Executor) -> None:
        self._credentials = credentials
        self._prove = prove
        self._failures = failures
        self._threads = threads
        self._under_way: dict[str, asyncio.Future[str | None]] = {}
        """By credential: what others with the same one wait for; its result is why nothing could be looked up."""

    @property
    def generation(self) -> int:
        """While it stays the same, whoever was recognised still holds what they held."""
        return self._credentials.generation

    def recall(self, call: Call) -> Principal | None:
        """Raises CredentialInvalid, IdentityUnavailable or TooManyFailures."""
        call.generation = self._credentials.generation
        try:
            return self._credentials.recall(call.credential, call.address)
        except CredentialEnded as refusal:  # counts, and is answered, as where it was looked up
            self._failures.fail(call.address)
            raise challenged(refusal) from None
        except CredentialInvalid as refusal:
            raise challenged(refusal) from None

    async def look_up(self, call: Call) -> Principal:
        """In the database, or by what another call with this credential, which is being looked up, has found.

        Raises CredentialInvalid, CredentialMalformed, IdentityUnavailable or TooManyFailures.
        """
        other = self._under_way.get(call.credential)
        if other is None:
            answered = self._under_way[call.credential] = asyncio.get_running_loop().create_future()
            try:
                return await self._looked_up(call)
            except IdentityUnavailable as refusal:
                answered.set_result(refusal.reason)
                raise
            finally:
                del self._under_way[call.credential]
                if not answered.done():
                    answered.set_result(None)
        why_not = await asyncio.shield(other)
        if why_not:
            raise unavailable(why_not)
        return self.recall(call) or await self._looked_up(call)

    async def _looked_up(self, call: Call) -> Principal:
        self._failures.check(call.address)
        generation = self._credentials.generation
        try:
            async with asyncio.timeout(LOOK_UP_DEADLINE_S):
                proven = await asyncio.get_running_loop().run_in_executor(self._threads, self._prove, call.credential, call.address)
        except (CredentialInvalid, CredentialMalformed) as refusal:
            if isinstance(refusal, CredentialEnded):
                self._credentials.remember_ended(call.credential, refusal, generation)
            raise challenged(refusal) from None
        except TimeoutError:  # a database that hangs answers nothing, not even an error
            raise unavailable("identity_database_hangs") from None
        self._credentials.remember(call.credential, proven, generation)
        return proven.principal

    async def again(self, call: Call) -> Principal:
        """Who it is by now, for a call that was let in before something changed. Raises what `recall` and `look_up` raise."""
        return self.recall(call) or await self.look_up(call)


def challenged(refusal: Problem) -> Problem:
    """Add the challenge of RFC 6750 3, which names no error where no credential was sent."""
    missing = isinstance(refusal, CredentialMissing)
    challenge = CHALLENGE if missing else f'{CHALLENGE}, error="invalid_token"'
    refusal.headers = (*refusal.headers, ("WWW-Authenticate", challenge))
    return refusal
