"""Authentication of calls: credential text to Principal, from memory when it is known, else from the database."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from typing import Protocol, TypeVar

from gatehouse.db.revision import EVERYTHING, Change
from gatehouse.db.session import GONE
from gatehouse.errors import CredentialInvalid, CredentialMalformed, IdentityUnavailable
from gatehouse.identity import api_keys
from gatehouse.identity.key_store import Redigest, StoredKey, StoredSecrets
from gatehouse.identity.networks import contains
from gatehouse.identity.peppers import Peppers
from gatehouse.identity.secret_match import matching_secret, renewal
from gatehouse.identity.tokens import KID_UNKNOWN, TokenClaims, TokenRefused
from gatehouse.principal import Principal, Verified

MAX_REMEMBERED = 100_000
TOKEN_KEYS_FRESH_S = 5.0
"""Half of what a token key is published before it signs: a process that has followed the changes so lately knows each that does."""
RETRY_AFTER_S = "5"
T = TypeVar("T")


class Uses(Protocol):
    """What authentication leaves behind of each use of a key, to be written later; both are quick."""

    def note(self, key_id: str, at: float) -> None: ...

    def renew(self, redigest: Redigest) -> None: ...


class Verifier(Protocol):
    """Proves a token's text; may read the token keys again, and then raises what the database raises."""

    def verify(self, text: str, now: float) -> TokenClaims: ...


class SecretWrong(CredentialInvalid):
    """Callers are told what they are told of any other; within, of which key, and whether there is one of this id."""

    def __init__(self, key_id: str, *, exists: bool, reason: str) -> None:
        super().__init__(reason=reason)
        self.key_id = key_id
        self.exists = exists


class Authenticator:
    """Who is calling.

    `recall` and `remember` belong to one thread (the event loop); `look_up` may block and runs in any.
    A look-up notes `generation` before it reads; what changed meanwhile raises it, and the old state is not written back.
    """

    def __init__(
        self,
        find_secrets: Callable[[str], StoredSecrets | None],
        find_key: Callable[[str], StoredKey | None],
        peppers: Peppers,
        verifier: Verifier,
        token_revoked: Callable[[str], bool],
        uses: Uses,
        *,
        stale_after_s: float,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._find_secrets = find_secrets
        self._find_key = find_key
        self._peppers = peppers
        self._verifier = verifier
        self._token_revoked = token_revoked
        self._uses = uses
        self._stale_after_s = stale_after_s
        self._now = now
        self._monotonic = monotonic
        self._confirmed_at = monotonic()
        self._remembered: dict[bytes, Verified] = {}
        self.generation = 0

    def recall(self, text: str, address: str = "") -> Principal | None:
        """The principal of a credential that was proven before and has not changed since; None when it must be looked up.

        Raises CredentialInvalid when it has expired or may not be used from `address`, IdentityUnavailable when changes have
        not been seen for too long.
        """
        verified = self._remembered.get(_cache_key(text))
        if verified is None:
            return None
        now = self._now()
        if verified.expires_at <= now:
            raise CredentialInvalid(reason="credential_expired")
        if self.stale_for_s() > self._stale_after_s:
            raise _unavailable("identity_stale")
        principal = verified.principal
        if principal.networks:  # the address is another in each call; it is only ever read for a key that is bound
            _check_network(principal, address)
        self._uses.note(principal.key_id, now)
        return principal

    def look_up(self, text: str, address: str = "") -> Verified:
        """Prove a credential, sent from `address`, against the database.

        Raises CredentialMalformed, CredentialInvalid, or IdentityUnavailable when the database cannot be reached.
        """
        is_token = "." in text and not api_keys.looks_like_key(text)
        verified = self._look_up_token(text) if is_token else self._look_up_key(text)
        now = self._now()
        if verified.expires_at <= now:
            raise CredentialInvalid(reason="credential_expired")
        _check_network(verified.principal, address)
        self._uses.note(verified.principal.key_id, now)
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

    def stale_for_s(self) -> float:
        """Seconds since then."""
        return self._monotonic() - self._confirmed_at

    def forget(self, changes: list[Change]) -> None:
        """Drop just what changed: by key, tenant (also its grants), plan, token or token key; or all of it."""
        if EVERYTHING in changes:
            self.generation += 1
            self._remembered = {}
            return
        by_kind: dict[str, set[str]] = {}
        for change in changes:
            by_kind.setdefault("tenant" if change.kind == "grant" else change.kind, set()).add(change.id)
        keys, tenants, plans, tokens, token_keys = (by_kind.get(kind, set()) for kind in ("key", "tenant", "plan", "token", "token_key"))
        if not (keys or tenants or plans or tokens or token_keys):
            return
        self.generation += 1
        self._remembered = {
            digest: verified
            for digest, verified in self._remembered.items()
            if not (
                (principal := verified.principal).key_id in keys
                or principal.tenant_id in tenants
                or principal.plan.name in plans
                or verified.jti in tokens
                or verified.kid in token_keys
            )
        }

    def _look_up_key(self, text: str) -> Verified:
        try:
            key_id = api_keys.key_id_of(text)
        except (api_keys.KeyMalformed, UnicodeEncodeError):
            raise CredentialMalformed(reason="key_malformed") from None
        secrets = self._ask(self._find_secrets, key_id)
        proven = matching_secret(text, secrets, self._peppers)
        # no more is read before the secret is proven, or the time of the refusal would tell which ids exist
        stored = self._ask(self._find_key, key_id) if proven else None
        place = proven and matching_secret(text, stored, self._peppers)  # again, since it may have been rotated in between
        if stored is None or place is None:
            raise SecretWrong(key_id, exists=secrets is not None, reason=_why_unproven(secrets, self._peppers))
        now = self._now()
        verified = _alive(stored, now)
        if place == "previous":  # what is got by it, a token too, ends with its grace
            verified = _in_grace(verified, stored, now)
        redigest = renewal(text, stored, place, self._peppers)
        if redigest is not None:
            self._uses.renew(redigest)
        return replace(verified, issued_from=_rotation_over(stored))

    def _look_up_token(self, text: str) -> Verified:
        now = self._now()
        claims = self._verify(text, now)
        stored = self._ask(self._find_key, claims.key_id)
        if stored is None or stored.principal.tenant_id != claims.tenant_id:
            raise CredentialInvalid(reason="token_key_unknown")
        verified = _alive(stored, now)
        if claims.issued_at < _rotation_over(stored):  # got by the secret before the last rotation, or by one older still
            verified = _in_grace(verified, stored, now)
        if self._is_revoked(claims.jti):
            raise CredentialInvalid(reason="token_revoked")
        return _narrowed(verified, claims)

    def _verify(self, text: str, now: float) -> TokenClaims:
        try:
            return self._verifier.verify(text, now)
        except TokenRefused as error:
            if str(error) == KID_UNKNOWN and self.stale_for_s() > TOKEN_KEYS_FRESH_S:
                raise _unavailable("token_keys_stale") from None  # it may be a new one that this process has not seen
            raise CredentialInvalid(reason=str(error)) from None
        except GONE:
            raise _unavailable("identity_database") from None

    def _is_revoked(self, jti: str) -> bool:
        try:
            return self._token_revoked(jti)
        except GONE:
            raise _unavailable("identity_database") from None

    def _ask(self, find: Callable[[str], T | None], key_id: str) -> T | None:
        try:
            return find(key_id)
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


def _in_grace(verified: Verified, stored: StoredKey, now: float) -> Verified:
    """`verified`, ending with the grace of the secret before the last rotation. Raises CredentialInvalid when it has ended."""
    ends_at = stored.grace_ends_at.timestamp() if stored.grace_ends_at else now
    if ends_at <= now:
        raise CredentialInvalid(reason="key_secret_rotated")
    return replace(verified, expires_at=min(verified.expires_at, ends_at))


def _rotation_over(stored: StoredKey) -> int:
    """The first whole second behind the last rotation; 0 without one. A token says its age in whole seconds, so those got by the
    new secret are dated then or later (`Verified.issued_from`), and of an earlier one it is certain that the new secret did not get it."""
    return 0 if stored.rotated_at is None else int(stored.rotated_at.timestamp()) + 1


def _why_unproven(stored: StoredSecrets | None, peppers: Peppers) -> str:
    if stored is None:
        return "key_unknown"
    return "key_secret_wrong" if stored.pepper_version in peppers else "key_pepper_unknown"


def _check_network(principal: Principal, address: str) -> None:
    if principal.networks and not contains(principal.networks, address):
        raise CredentialInvalid(reason="network_not_allowed")


def _narrowed(verified: Verified, claims: TokenClaims) -> Verified:
    principal = replace(verified.principal, scopes=verified.principal.scopes & claims.scopes)
    return replace(verified, principal=principal, expires_at=min(verified.expires_at, claims.expires_at), jti=claims.jti, kid=claims.kid)


def _seconds(moment: datetime | None) -> float:
    return float("inf") if moment is None else moment.timestamp()


def _unavailable(reason: str) -> IdentityUnavailable:
    return IdentityUnavailable(reason=reason, headers=[("Retry-After", RETRY_AFTER_S)])
