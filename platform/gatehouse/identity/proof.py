"""Proof of one credential: a key's or a token's text to what it may do, by reads that the caller hands in."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Protocol, TypeVar

from sqlmodel import Session

from gatehouse.db.session import GONE
from gatehouse.errors import CredentialInvalid, CredentialMalformed, IdentityUnavailable
from gatehouse.identity import api_keys, key_store, person_store, token_store
from gatehouse.identity.key_store import Redigest, StoredKey, StoredSecrets
from gatehouse.identity.networks import contains
from gatehouse.identity.peppers import Peppers
from gatehouse.identity.person_store import StoredPerson
from gatehouse.identity.secret_match import matching_secret, renewal
from gatehouse.identity.tokens import KID_UNKNOWN, PersonClaims, TokenClaims, TokenRefused, dated_from
from gatehouse.principal import Principal, Verified

RETRY_AFTER_S = "5"
T = TypeVar("T")


class Uses(Protocol):
    """What authentication leaves behind of each use of a key, to be written later; both are quick."""

    def note(self, key_id: str, at: float) -> None: ...

    def renew(self, redigest: Redigest) -> None: ...


class Verifier(Protocol):
    """Proves a token's text; may read the token keys again, and then raises what the database raises."""

    def verify(self, text: str, now: float) -> TokenClaims | PersonClaims: ...


class CredentialNotGood(CredentialInvalid):
    """Proven, and of no use here or now. `holder` is whose it is: the caller is told nothing of it, those who look after the key are."""

    def __init__(self, holder: Principal, *, reason: str) -> None:
        super().__init__(reason=reason)
        self.holder = holder


class CredentialEnded(CredentialNotGood):
    """Of a key or a token that works no more: it stays refused until something changes."""


class SecretWrong(CredentialInvalid):
    """Callers are told what they are told of any other; within, of which key, and whether there is one of this id."""

    def __init__(self, key_id: str, *, exists: bool, reason: str) -> None:
        super().__init__(reason=reason)
        self.key_id = key_id
        self.exists = exists


@dataclass(frozen=True, slots=True)
class Prover:
    """Proves credentials by what `find_secrets`, `find_key`, `find_person` and `token_revoked` read."""

    find_secrets: Callable[[str], StoredSecrets | None]
    find_key: Callable[[str], StoredKey | None]
    find_person: Callable[[str], StoredPerson | None]
    token_revoked: Callable[[str], bool]
    peppers: Peppers
    verifier: Verifier
    uses: Uses
    now: Callable[[], float]
    token_keys_fresh: Callable[[], bool]
    """Whether each token key that signs by now must be known here."""

    def within(self, session: Session) -> "Prover":
        """The same rules by what the transaction of `session` sees."""
        return replace(
            self,
            find_secrets=partial(key_store.find_secrets, session),
            find_key=partial(key_store.find_key, session),
            find_person=partial(person_store.find_person, session),
            token_revoked=partial(token_store.token_revoked, session),
        )

    def prove(self, text: str, address: str = "") -> Verified:
        """Prove a credential that is sent from `address`. May block.

        Raises CredentialMalformed, CredentialInvalid, or IdentityUnavailable when the database cannot be reached.
        """
        is_token = "." in text and not api_keys.looks_like_key(text)
        verified = self._prove_token(text) if is_token else self._prove_key(text)
        now = self.now()
        if verified.expires_at <= now:
            raise CredentialNotGood(verified.principal, reason="credential_expired")
        check_network(verified.principal, address)
        if verified.principal.key_id:
            self.uses.note(verified.principal.key_id, now)
        return verified

    def _prove_key(self, text: str) -> Verified:
        try:
            key_id = api_keys.key_id_of(text)
        except (api_keys.KeyMalformed, UnicodeEncodeError):
            raise CredentialMalformed(reason="key_malformed") from None
        secrets = self._ask(self.find_secrets, key_id)
        proven = matching_secret(text, secrets, self.peppers)
        # no more is read before the secret is proven, or the time of the refusal would tell which ids exist
        stored = self._ask(self.find_key, key_id) if proven else None
        place = proven and matching_secret(text, stored, self.peppers)  # again, since it may have been rotated in between
        if stored is None or place is None:
            raise SecretWrong(key_id, exists=secrets is not None, reason=_why_unproven(secrets, self.peppers))
        now = self.now()
        verified = _alive(stored, now)
        if place == "previous":  # what is got by it, a token too, ends with its grace
            verified = _in_grace(verified, stored, now)
        redigest = renewal(text, stored, place, self.peppers)
        if redigest is not None:
            self.uses.renew(redigest)
        return replace(verified, issued_from=dated_from(stored.rotated_at))

    def _prove_token(self, text: str) -> Verified:
        now = self.now()
        claims = self._verify(text, now)
        verified = self._person(claims) if isinstance(claims, PersonClaims) else self._key(claims, now)
        if self._is_revoked(claims.jti):
            raise CredentialEnded(verified.principal, reason="token_revoked")
        return replace(verified, expires_at=min(verified.expires_at, claims.expires_at), jti=claims.jti, kid=claims.kid)

    def _key(self, claims: TokenClaims, now: float) -> Verified:
        stored = self._ask(self.find_key, claims.key_id)
        if stored is None or stored.principal.tenant_id != claims.tenant_id:
            raise CredentialInvalid(reason="token_key_unknown")
        verified = _alive(stored, now)
        if claims.issued_at < dated_from(stored.previous_since):  # got by a secret older than the two that work
            raise CredentialNotGood(stored.principal, reason="key_secret_rotated")
        if claims.issued_at < dated_from(stored.rotated_at):  # got by the secret before the last rotation
            verified = _in_grace(verified, stored, now)
        return replace(verified, principal=replace(verified.principal, scopes=verified.principal.scopes & claims.scopes))

    def _person(self, claims: PersonClaims) -> Verified:
        stored = self._ask(self.find_person, claims.person_id)
        if stored is None or stored.principal.tenant_id != claims.tenant_id:
            raise CredentialInvalid(reason="person_unknown")
        if stored.suspended or stored.tenant_suspended:
            raise CredentialInvalid(reason="person_suspended" if stored.suspended else "tenant_suspended")
        if stored.principal.role != claims.role:
            raise CredentialInvalid(reason="person_role_changed")
        # got by an older password, or before a suspension or another role, also where that has been taken back since
        if stored.tokens_from is None or claims.issued_at < dated_from(stored.tokens_from):
            raise CredentialInvalid(reason="token_cut_off")
        return Verified(replace(stored.principal, authenticated_at=float(claims.issued_at)), claims.expires_at)

    def _verify(self, text: str, now: float) -> TokenClaims | PersonClaims:
        try:
            return self.verifier.verify(text, now)
        except TokenRefused as error:
            if str(error) == KID_UNKNOWN and not self.token_keys_fresh():
                raise unavailable("token_keys_stale") from None  # it may be a new one that this process has not seen
            raise CredentialInvalid(reason=str(error)) from None
        except GONE:
            raise unavailable("identity_database") from None

    def _is_revoked(self, jti: str) -> bool:
        try:
            return self.token_revoked(jti)
        except GONE:
            raise unavailable("identity_database") from None

    def _ask(self, find: Callable[[str], T | None], key_id: str) -> T | None:
        try:
            return find(key_id)
        except GONE:
            raise unavailable("identity_database") from None


def _alive(stored: StoredKey, now: float) -> Verified:
    if stored.revoked_at is not None:
        raise CredentialEnded(stored.principal, reason="key_revoked")
    if stored.tenant_suspended:
        raise CredentialEnded(stored.principal, reason="tenant_suspended")
    expires_at = _seconds(stored.expires_at)
    if expires_at <= now:
        raise CredentialEnded(stored.principal, reason="key_expired")
    return Verified(stored.principal, expires_at)


def _in_grace(verified: Verified, stored: StoredKey, now: float) -> Verified:
    """`verified`, ending with the grace of the secret before the last rotation. Raises CredentialEnded when that is over."""
    ends_at = stored.grace_ends_at.timestamp() if stored.grace_ends_at else now
    if ends_at <= now:
        raise CredentialEnded(stored.principal, reason="key_secret_rotated")
    return replace(verified, expires_at=min(verified.expires_at, ends_at))


def _why_unproven(stored: StoredSecrets | None, peppers: Peppers) -> str:
    if stored is None:
        return "key_unknown"
    return "key_secret_wrong" if stored.pepper_version in peppers else "key_pepper_unknown"


def check_network(principal: Principal, address: str) -> None:
    """Raises CredentialNotGood."""
    if principal.networks and not contains(principal.networks, address):
        raise CredentialNotGood(principal, reason="network_not_allowed")


def _seconds(moment: datetime | None) -> float:
    return float("inf") if moment is None else moment.timestamp()


def unavailable(reason: str) -> IdentityUnavailable:
    """It cannot be known now; the caller may come again."""
    return IdentityUnavailable(reason=reason, headers=[("Retry-After", RETRY_AFTER_S)])
