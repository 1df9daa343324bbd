"""Who is calling and what they may do: pure data, shared by every room."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from types import MappingProxyType
from typing import Literal

QuotaMode = Literal["hard", "soft"]
LimitMode = Literal["enforce", "observe"]
"""An observed limit refuses nothing and shows what it would have refused. A quota is observed by being soft."""
Network = IPv4Network | IPv6Network


class Scope(StrEnum):
    """What a credential may be used for; a closed set."""

    PREDICTIONS_CREATE = "predictions:create"
    MODELS_READ = "models:read"
    ACCOUNT_READ = "account:read"
    USAGE_READ = "usage:read"
    KEYS_MANAGE = "keys:manage"
    METRICS_READ = "metrics:read"
    ADMIN_READ = "admin:read"
    ADMIN_WRITE = "admin:write"


class Role(StrEnum):
    """What a person is to the deployment: its operator, its auditor, or an admin of one tenant."""

    OPERATOR = "operator"
    AUDITOR = "auditor"
    TENANT_ADMIN = "tenant_admin"


TENANT_SCOPES = frozenset({Scope.PREDICTIONS_CREATE, Scope.MODELS_READ, Scope.ACCOUNT_READ, Scope.USAGE_READ, Scope.KEYS_MANAGE})
DEFAULT_KEY_SCOPES = frozenset({Scope.PREDICTIONS_CREATE, Scope.MODELS_READ, Scope.ACCOUNT_READ, Scope.USAGE_READ})
OPERATOR_TENANT = "_operator"
ROLE_SCOPES = {
    Role.OPERATOR: frozenset(Scope),
    Role.AUDITOR: frozenset({Scope.ACCOUNT_READ, Scope.USAGE_READ, Scope.ADMIN_READ}),
    Role.TENANT_ADMIN: TENANT_SCOPES,
}
"""What each role may do, and give to keys. The audience of a person's tokens keeps the person itself from predicting."""


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `burst + count * t / period_s` in any span of t seconds."""

    count: int
    period_s: int
    burst: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A named set of limits. Rates hold for the tenant and, unless a key has its own, for each of its keys."""

    name: str
    requests: Rate
    rows: Rate
    rows_per_month: int
    quota_mode: QuotaMode
    rows_per_call: int
    bytes_per_call: int
    requests_mode: LimitMode = "enforce"
    """Of the tenant's and the keys' limits of requests; `rows_mode` of those of rows."""
    rows_mode: LimitMode = "enforce"


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Principal:
    """The caller of one credential. Compared by identity: a new look-up is a new principal."""

    tenant_id: str
    tenant: str
    key_id: str
    scopes: frozenset[Scope]
    plan: Plan
    key_requests: Rate | None = None
    key_rows: Rate | None = None
    default_model: str | None = None
    grants: Mapping[str, frozenset[str] | None] = field(default_factory=lambda: MappingProxyType({}))
    """Model name to the API versions granted; None means all of them."""
    networks: tuple[Network, ...] = ()
    """From where the key, and so its tokens, may be used; anywhere when there are none."""
    person_id: str = ""
    """Who is logged in; then `key_id` is empty."""
    role: Role | None = None
    """Of a person."""
    authenticated_at: float = 0.0
    """When the person logged in, in seconds since 1970."""

    @property
    def caller(self) -> str:
        """The id of the person or the key."""
        return self.person_id or self.key_id

    @property
    def actor(self) -> str:
        """The same as the audit trail names it."""
        return f"{'person' if self.person_id else 'key'}:{self.caller}"


@dataclass(frozen=True, slots=True)
class Verified:
    """A credential that was proven once. `expires_at` is seconds since 1970; infinity for a key without an end."""

    principal: Principal
    expires_at: float
    issued_from: int = 0
    """A token got by this proof says that it was issued then or later (seconds since 1970): behind the key's last rotation."""
    jti: str = ""
    kid: str = ""
    """Of an access token: its id, and the token key that signed it."""
