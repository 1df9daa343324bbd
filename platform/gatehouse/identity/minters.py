"""A key or a person that makes or changes keys of the own tenant: it gives no more than it has."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from sqlmodel import Session

from gatehouse.errors import BeyondOwnKey, CredentialInvalid, ScopeMissing
from gatehouse.identity.key_store import ApiKey, show_key
from gatehouse.identity.key_wishes import KeyWish
from gatehouse.identity.networks import covers
from gatehouse.principal import DEFAULT_KEY_SCOPES, Network, Principal, Rate, Scope

if TYPE_CHECKING:
    from gatehouse.identity.proof import Prover


@dataclass(frozen=True, slots=True)
class Minter:
    """The caller, by the credential that it sent from `address`."""

    prover: "Prover"
    credential: str = field(repr=False)
    address: str

    def prove(self, session: Session) -> Principal:
        """Who it is, proven anew within the transaction: what was let in may have been taken away while its body came in.

        Raises CredentialInvalid, ScopeMissing, IdentityUnavailable.
        """
        principal = self.prover.within(session).prove(self.credential, self.address).principal
        if Scope.KEYS_MANAGE not in principal.scopes:
            raise ScopeMissing(f"This needs the scope {Scope.KEYS_MANAGE}.", members={"scope": Scope.KEYS_MANAGE})
        return principal

    def hold(self, session: Session) -> "Authority":
        """What it may give. Raises what `prove` raises."""
        return authority_of(session, self.prove(session))


@dataclass(frozen=True, slots=True)
class Authority:
    """The most that a key of a minter can be: what the minter is. A person has no end, limits or networks of its own."""

    tenant: str
    scopes: frozenset[Scope]
    expires_at: datetime | None = None
    requests: Rate | None = None
    rows: Rate | None = None
    networks: tuple[Network, ...] = ()

    def filled(self, wish: KeyWish) -> KeyWish:
        """The wish, with the minter's own bounds where it names none. Raises BeyondOwnKey for a scope that the minter has not."""
        scopes = DEFAULT_KEY_SCOPES if wish.scopes is None else frozenset(wish.scopes)
        self._check_scopes(scopes)
        return replace(
            wish,
            scopes=scopes,
            expires_at=wish.expires_at or self.expires_at,
            requests=wish.requests or self.requests,
            rows=wish.rows or self.rows,
            networks=wish.networks or self.networks,
        )

    def check(self, key: ApiKey) -> None:
        """Raises BeyondOwnKey, which names the member, where `key` is or would be more than the minter."""
        self._check_scopes(key.scopes)
        if not covers(self.networks, key.networks):
            raise BeyondOwnKey("The calling key is bound to networks; others cannot be wider.", members={"member": "networks"})
        if self.expires_at is not None and (key.expires_at is None or key.expires_at > self.expires_at):
            raise BeyondOwnKey("The calling key expires; others cannot last longer.", members={"member": "expires_at"})
        for member, own, other in (("requests", self.requests, key.requests), ("rows", self.rows, key.rows)):
            if own is not None and (other is None or _more(other, own)):
                raise BeyondOwnKey(f"The calling key has {member} limits of its own; others cannot be higher.", members={"member": member})

    def _check_scopes(self, scopes: frozenset[Scope]) -> None:
        wider = sorted(scopes - self.scopes)
        if wider:
            raise BeyondOwnKey(f"The calling credential has not the scope {wider[0]}.", members={"member": "scopes"})


def authority_of(session: Session, principal: Principal) -> Authority:
    """What a caller may give that was proven in this transaction. Raises CredentialInvalid."""
    if principal.person_id:
        return Authority(principal.tenant, principal.scopes)
    own = show_key(session, principal.key_id)
    if own is None:
        raise CredentialInvalid(reason="key_unknown")
    return Authority(own.tenant, principal.scopes, own.expires_at, own.requests, own.rows, own.networks)


def _more(other: Rate, own: Rate) -> bool:
    return other.count * own.period_s > own.count * other.period_s or other.burst > own.burst
