"""A key that makes or changes keys of its own tenant: it gives no more than it has."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlmodel import Session

from gatehouse.errors import BeyondOwnKey, CredentialInvalid
from gatehouse.identity.key_store import ApiKey, show_key
from gatehouse.identity.key_wishes import KeyWish
from gatehouse.identity.networks import covers
from gatehouse.principal import DEFAULT_KEY_SCOPES, Principal, Rate, Scope


@dataclass(frozen=True, slots=True)
class Minter:
    """The caller. `scopes` are its credential's, which a token may have narrowed."""

    key_id: str
    tenant: str
    scopes: frozenset[Scope]

    @classmethod
    def of(cls, principal: Principal) -> "Minter":
        return cls(principal.key_id, principal.tenant, principal.scopes)

    def hold(self, session: Session) -> "Authority":
        """What it may give, read within the transaction: a key that was revoked a moment ago gives nothing. Raises CredentialInvalid."""
        own = show_key(session, self.key_id)
        if own is None or own.revoked_at is not None:
            raise CredentialInvalid(reason="key_revoked")
        if own.expires_at is not None and own.expires_at <= datetime.now(UTC):
            raise CredentialInvalid(reason="key_expired")
        return Authority(replace(own, scopes=own.scopes & self.scopes))


@dataclass(frozen=True, slots=True)
class Authority:
    """The most that a key of a minter can be: what the minter is."""

    own: ApiKey

    def filled(self, wish: KeyWish) -> KeyWish:
        """The wish, with the minter's own bounds where it names none. Raises BeyondOwnKey for a scope that the minter has not."""
        scopes = DEFAULT_KEY_SCOPES if wish.scopes is None else frozenset(wish.scopes)
        self._check_scopes(scopes)
        return replace(
            wish,
            scopes=scopes,
            expires_at=wish.expires_at or self.own.expires_at,
            requests=wish.requests or self.own.requests,
            rows=wish.rows or self.own.rows,
            networks=wish.networks or self.own.networks,
        )

    def check(self, key: ApiKey) -> None:
        """Raises BeyondOwnKey, which names the member, where `key` is or would be more than the minter."""
        self._check_scopes(key.scopes)
        if not covers(self.own.networks, key.networks):
            raise BeyondOwnKey("The calling key is bound to networks; others cannot be wider.", members={"member": "networks"})
        if self.own.expires_at is not None and (key.expires_at is None or key.expires_at > self.own.expires_at):
            raise BeyondOwnKey("The calling key expires; others cannot last longer.", members={"member": "expires_at"})
        for member, own, other in (("requests", self.own.requests, key.requests), ("rows", self.own.rows, key.rows)):
            if own is not None and (other is None or _more(other, own)):
                raise BeyondOwnKey(f"The calling key has {member} limits of its own; others cannot be higher.", members={"member": member})

    def _check_scopes(self, scopes: frozenset[Scope]) -> None:
        wider = sorted(scopes - self.own.scopes)
        if wider:
            raise BeyondOwnKey(f"The calling credential has not the scope {wider[0]}.", members={"member": "scopes"})


def _more(other: Rate, own: Rate) -> bool:
    return other.count * own.period_s > own.count * other.period_s or other.burst > own.burst
