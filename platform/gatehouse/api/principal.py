"""How a FastAPI route learns who is calling, and states the scope that it needs."""

from dataclasses import dataclass

from fastapi import Request

from gatehouse.call import SCOPE_KEY, Call
from gatehouse.db.audit import Actor
from gatehouse.errors import CredentialMissing, ScopeMissing
from gatehouse.identity.tokens import PersonClaims, TokenClaims
from gatehouse.principal import Principal, Scope


def call_of(request: Request) -> Call:
    """The call of a request."""
    call: Call = request.scope[SCOPE_KEY]
    return call


def caller_of(request: Request) -> Principal:
    """Who is calling. Raises CredentialMissing."""
    principal = call_of(request).principal
    if principal is None:
        raise CredentialMissing()
    return principal


@dataclass(frozen=True, slots=True)
class Needs:
    """A dependency: the caller, who has `scope`. Raises ScopeMissing."""

    scope: Scope

    def __call__(self, request: Request) -> Principal:
        principal = caller_of(request)
        if self.scope not in principal.scopes:
            raise ScopeMissing(f"This needs the scope {self.scope}.", members={"scope": self.scope})
        return principal


def holder_of(request: Request, claims: TokenClaims | PersonClaims) -> Actor:
    """Whose token is sent, for the audit trail, where the token is not what lets the call in."""
    call = call_of(request)
    name = f"person:{claims.person_id}" if isinstance(claims, PersonClaims) else f"key:{claims.key_id}"
    return Actor(name, call.address[:63], call.request_id)


def actor_of(request: Request, principal: Principal) -> Actor:
    """Who asks, for the audit trail: the person or key, the address it asks from, and the call."""
    call = call_of(request)
    return Actor(principal.actor, call.address[:63], call.request_id)
