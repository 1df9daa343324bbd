"""The token keys as one serving process knows them: one signs, all that are published verify."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gatehouse.identity.sealing import Seal
from gatehouse.identity.token_keys import KeyLife, lives_of, signing_life
from gatehouse.identity.token_store import TokenKey
from gatehouse.identity.tokens import (
    KID_UNKNOWN,
    PersonClaims,
    SigningKey,
    TokenClaims,
    TokenIssuer,
    TokenRefused,
    TokenVerifier,
    public_jwk,
)


@dataclass(frozen=True, slots=True)
class _Known:
    lives: Sequence[KeyLife]
    verifier: TokenVerifier
    version: int


class TokenKeyring:
    """Keys are read again by the next call that needs them after `outdate`, which the event loop calls; the rest may block.

    What reads them raises what `read` raises (sqlalchemy.exc.DBAPIError).
    """

    def __init__(self, read: Callable[[], Sequence[TokenKey]], seal: Seal, issuer: str, keys: Sequence[TokenKey]) -> None:
        self._read = read
        self._seal = seal
        self._issuer = issuer
        self._version = 0
        self._reading = threading.Lock()
        self._known = self._taken(keys, 0)
        self._issuers: dict[str, TokenIssuer] = {}

    def outdate(self) -> None:
        """Some token key has changed."""
        self._version += 1

    def verify(self, text: str, now: float) -> TokenClaims | PersonClaims:
        """The claims of a token that a published key has signed. Raises TokenRefused."""
        known = self._fresh()
        claims = known.verifier.verify(text, now)
        if claims.kid not in {life.key.kid for life in _published(known.lives, now)}:
            raise TokenRefused(KID_UNKNOWN)
        return claims

    def signer(self, now: float) -> TokenIssuer:
        """What signs at `now`. Raises TokenKeyUnreadable."""
        signing = signing_life(self._fresh().lives, _moment(now))
        if signing is None:
            raise LookupError("no token key")
        key = signing.key
        if key.kid not in self._issuers:
            self._issuers = {key.kid: TokenIssuer(self._issuer, SigningKey(key.kid, self._seal.open(key.kid, key.private_sealed)))}
        return self._issuers[key.kid]

    def public_keys(self, now: float) -> list[dict[str, str]]:
        """The members of the JWK set (RFC 7517 5): whatever verifies, or will before long."""
        return [public_jwk(life.key.kid, life.key.public_pem) for life in _published(self._fresh().lives, now)]

    def _fresh(self) -> _Known:
        known = self._known
        if known.version != self._version:
            with self._reading:
                version = self._version  # noted before reading: a change that comes meanwhile outdates what is read now
                if self._known.version != version:
                    self._known = self._taken(self._read(), version)
                known = self._known
        return known

    def _taken(self, keys: Sequence[TokenKey], version: int) -> _Known:
        return _Known(lives_of(keys), TokenVerifier(self._issuer, {key.kid: key.public_pem for key in keys}), version)


def _published(lives: Sequence[KeyLife], now: float) -> list[KeyLife]:
    moment = _moment(now)
    return [life for life in lives if life.state(moment) != "retired"]


def _moment(now: float) -> datetime:
    return datetime.fromtimestamp(now, UTC)
