"""Authentication of calls: credential text to Principal, from memory when it is known, else from the database."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from hashlib import sha256

from gatehouse.db.revision import EVERYTHING, Change
from gatehouse.db.session import GONE
from gatehouse.errors import CredentialInvalid, CredentialMalformed, IdentityUnavailable
from gatehouse.identity import api_keys
from gatehouse.identity.store import StoredKey
from gatehouse.identity.tokens import TokenClaims, TokenRefused, TokenVerifier
from gatehouse.principal import Principal, Verified

MAX_REMEMBERED = 100_000
RETRY_AFTER_S = "5"


class Authenticator:
    """Who is calling.

    `recall` and `remember` belong to one thread (the event loop); `look_up` may block and runs in any.
    A look-up notes `generation` before it reads; what changed meanwhile raises it, and the old state is not written back.
    """

    def __init__(
        self,
        find_key: Callable[[str], StoredKey | None],
        pepper: bytes,
        verifier: TokenVerifier,
        *,
        stale_after_s: float,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._find_key = find_key
        self._pepper = pepper
        self.verifier = verifier
        self._stale_after_s = stale_after_s
        self._now = now
        self._monotonic = monotonic
        self._confirmed_at = monotonic()
        self._remembered: dict[bytes, Verified] = {}
        self.generation = 0

    def recall(self, text: str) -> Principal | None:
        """The principal of a credential that was proven before and has not changed since; None when it must be looked up.

        Raises CredentialInvalid when it has expired, IdentityUnavailable when changes have not been seen for too long.
        """
        verified = self._remembered.get(_cache_key(text))
        if verified is None:
            return None
        if verified.expires_at <= self._now():
            raise CredentialInvalid(reason="credential_expired")
        if self._monotonic() - self._confirmed_at > self._stale_after_s:
            raise _unavailable("identity_stale")
        return verified.principal

    def look_up(self, text: str) -> Verified:
        """Prove a credential against the database.

        Raises CredentialMalformed, CredentialInvalid, or IdentityUnavailable when the database cannot be reached.
        """
        is_token = "." in text and not api_keys.looks_like_key(text)
        verified = self._look_up_token(text) if is_token else self._look_up_key(text)
        if verified.expires_at <= self._now():
            raise CredentialInvalid(reason="credential_expired")
        return verified

    def remember(self, text: str, verified: Verified, generation: int) -> None:
        """Keep a proven credential, unless something changed since `generation`."""
        if generation != self.generation:
            return
        digest = _cache_key(text)
        if digest not in self._remembered and len(self._remembered) >= MAX_REMEMBERED:
            self._remembered.pop(next(iter(self._remembered)))
        self._remembered[digest] = verified

    def confirm(self) -> None:
        """All changes up to now have been seen."""
        self._confirmed_at = self._monotonic()

    def forget(self, changes: list[Change]) -> None:
        """Drop just what changed: by key, tenant (also its grants) or plan; or all of it."""
        if EVERYTHING in changes:
            self.generation += 1
            self._remembered = {}
            return
        by_kind: dict[str, set[str]] = {}
        for change in changes:
            by_kind.setdefault("tenant" if change.kind == "grant" else change.kind, set()).add(change.id)
        keys, tenants, plans = (by_kind.get(kind, set()) for kind in ("key", "tenant", "plan"))
        if not (keys or tenants or plans):
            return
        self.generation += 1
        self._remembered = {
            digest: verified
            for digest, verified in self._remembered.items()
            if not (verified.principal.key_id in keys or verified.principal.tenant_id in tenants or verified.principal.plan.name in plans)
        }

    def _look_up_key(self, text: str) -> Verified:
        try:
            key_id = api_keys.key_id_of(text)
        except (api_keys.KeyMalformed, UnicodeEncodeError):
            raise CredentialMalformed(reason="key_malformed") from None
        stored = self._find(key_id)
        # an unknown id costs the same steps as a wrong secret: one look-up, one HMAC, one compare
        proven = api_keys.same_digest(api_keys.digest(text, self._pepper), stored.digest if stored else bytes(32))
        if stored is None or not proven:
            raise CredentialInvalid(reason="key_unknown" if stored is None else "key_secret_wrong")
        return _alive(stored, self._now())

    def _look_up_token(self, text: str) -> Verified:
        now = self._now()
        try:
            claims = self.verifier.verify(text, now)
        except TokenRefused as error:
            raise CredentialInvalid(reason=str(error)) from None
        stored = self._find(claims.key_id)
        if stored is None or stored.principal.tenant_id != claims.tenant_id:
            raise CredentialInvalid(reason="token_key_unknown")
        return _narrowed(_alive(stored, now), claims)

    def _find(self, key_id: str) -> StoredKey | None:
        try:
            return self._find_key(key_id)
        except GONE:
            raise _unavailable("identity_database") from None


def _cache_key(text: str) -> bytes:
    """A digest of the whole text: a hit proves that these very bytes were verified, and memory holds no credential."""
    return sha256(text.encode("utf-8", "surrogatepass")).digest()


def _alive(stored: StoredKey, now: float) -> Verified:
    if stored.revoked_at is not None:
        raise CredentialInvalid(reason="key_revoked")
    if stored.tenant_suspended:
        raise CredentialInvalid(reason="tenant_suspended")
    expires_at = _seconds(stored.expires_at)
    if expires_at <= now:
        raise CredentialInvalid(reason="key_expired")
    return Verified(stored.principal, expires_at)


def _narrowed(verified: Verified, claims: TokenClaims) -> Verified:
    principal = replace(verified.principal, scopes=verified.principal.scopes & claims.scopes)
    return Verified(principal, min(verified.expires_at, claims.expires_at))


def _seconds(moment: datetime | None) -> float:
    return float("inf") if moment is None else moment.timestamp()


def _unavailable(reason: str) -> IdentityUnavailable:
    return IdentityUnavailable(reason=reason, headers=[("Retry-After", RETRY_AFTER_S)])
