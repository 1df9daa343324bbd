"""Authentication of calls: credential text to Principal, from memory when it is known, else from the database."""

import time
from collections.abc import Callable
from hashlib import sha256

from gatehouse.db.revision import EVERYTHING, Change
from gatehouse.identity.key_store import StoredKey, StoredSecrets
from gatehouse.identity.peppers import Peppers
from gatehouse.identity.person_store import StoredPerson
from gatehouse.identity.proof import CredentialEnded, CredentialNotGood, Prover, Uses, Verifier, check_network, unavailable
from gatehouse.principal import Principal, Verified

MAX_REMEMBERED = 100_000
MAX_ENDED = 10_000
REMEMBERED_KINDS = ("key", "person", "tenant", "plan", "token", "token_key")
"""Of changes that a credential that is remembered may feel."""
TOKEN_KEYS_FRESH_S = 5.0
"""Half of what a token key is published before it signs: a process that has followed the changes so lately knows each that does."""
ENDED_FRESH_S = 1.0
"""So long after the changes were read, who had ended is refused from memory; later it is looked up: in an outage it is not known."""


class Authenticator:
    """Who is calling.

    `recall` and `remember` belong to one thread (the event loop); `look_up` may block and runs in any.
    A look-up notes `generation` before it reads; what changed meanwhile raises it, and the old state is not written back.
    """

    def __init__(
        self,
        find_secrets: Callable[[str], StoredSecrets | None],
        find_key: Callable[[str], StoredKey | None],
        find_person: Callable[[str], StoredPerson | None],
        peppers: Peppers,
        verifier: Verifier,
        token_revoked: Callable[[str], bool],
        uses: Uses,
        *,
        stale_after_s: float,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.prover = Prover(find_secrets, find_key, find_person, token_revoked, peppers, verifier, uses, now, self._token_keys_fresh)
        self._uses = uses
        self._stale_after_s = stale_after_s
        self._now = now
        self._monotonic = monotonic
        self._confirmed_at = monotonic()
        self._remembered: dict[bytes, Verified] = {}
        self._ended: dict[bytes, tuple[Principal, str]] = {}
        """Credentials of keys that have ended: whose, and why. Of wrong secrets nothing is remembered: that would tell which ids exist."""
        self.generation = 0

    def recall(self, text: str, address: str = "") -> Principal | None:
        """The principal of a credential that was proven before and has not changed since; None when it must be looked up.

        Raises CredentialNotGood when it has expired or may not be used from `address`, CredentialEnded where it was refused so before,
        IdentityUnavailable when changes have not been seen for too long.
        """
        digest = _cache_key(text)
        verified = self._remembered.get(digest)
        if verified is None:
            self._check_ended(digest)
            return None
        now = self._now()
        if verified.expires_at <= now:
            raise CredentialNotGood(verified.principal, reason="credential_expired")
        if self._monotonic() - self._confirmed_at > self._stale_after_s:
            raise unavailable("identity_stale")
        principal = verified.principal
        if principal.networks:  # the address is another in each call; it is only ever read for a key that is bound
            check_network(principal, address)
        if principal.key_id:
            self._uses.note(principal.key_id, now)
        return principal

    def look_up(self, text: str, address: str = "") -> Verified:
        """Prove a credential, sent from `address`, against the database. Raises what `Prover.prove` raises."""
        return self.prover.prove(text, address)

    def remember(self, text: str, verified: Verified, generation: int) -> None:
        """Keep a proven credential, unless something changed since `generation`."""
        if generation != self.generation:
            return
        digest = _cache_key(text)
        if digest not in self._remembered and len(self._remembered) >= MAX_REMEMBERED:
            self._remembered.pop(next(iter(self._remembered)))
        self._remembered[digest] = verified

    def remember_ended(self, text: str, ended: CredentialEnded, generation: int) -> None:
        """Keep that a credential was refused, unless something changed since `generation`."""
        if generation == self.generation:
            if len(self._ended) >= MAX_ENDED:
                self._ended.pop(next(iter(self._ended)))
            self._ended[_cache_key(text)] = ended.holder, ended.reason

    def _check_ended(self, digest: bytes) -> None:
        ended = self._ended.get(digest)
        if ended is not None and self.stale_for_s() <= ENDED_FRESH_S:
            holder, reason = ended
            raise CredentialEnded(holder, reason=reason)

    def confirm(self) -> None:
        """All changes up to now have been seen."""
        self._confirmed_at = self._monotonic()

    def stale_for_s(self) -> float:
        """Seconds since then."""
        return self._monotonic() - self._confirmed_at

    def _token_keys_fresh(self) -> bool:
        return self.stale_for_s() <= TOKEN_KEYS_FRESH_S

    def forget(self, changes: list[Change]) -> None:
        """Drop just what changed: by key, person, tenant (also its grants), plan, token or token key; or all of it."""
        if EVERYTHING in changes:
            self.generation += 1
            self._remembered, self._ended = {}, {}
            return
        by_kind: dict[str, set[str]] = {}
        for change in changes:
            by_kind.setdefault("tenant" if change.kind == "grant" else change.kind, set()).add(change.id)
        keys, people, tenants, plans, tokens, token_keys = (by_kind.get(kind, set()) for kind in REMEMBERED_KINDS)
        if not (keys or people or tenants or plans or tokens or token_keys):
            return
        self.generation += 1
        self._ended = {}
        self._remembered = {
            digest: verified
            for digest, verified in self._remembered.items()
            if not (
                (principal := verified.principal).key_id in keys
                or principal.person_id in people
                or principal.tenant_id in tenants
                or principal.plan.name in plans
                or verified.jti in tokens
                or verified.kid in token_keys
            )
        }


def _cache_key(text: str) -> bytes:
    """A digest of the whole text: a hit proves that these very bytes were verified, and memory holds no credential."""
    return sha256(text.encode("utf-8", "surrogatepass")).digest()
