"""What a key can be: its name, scopes, expiry, limits and networks, each checked against its tenant."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime

from gatehouse.errors import Refused
from gatehouse.identity.names import check_name
from gatehouse.identity.plans import check_key_rate
from gatehouse.identity.store import Tenant, scopes_of_tenant
from gatehouse.principal import DEFAULT_KEY_SCOPES, OPERATOR_TENANT, Network, Plan, Rate, Scope

OPERATOR_KEY_SCOPES = frozenset({Scope.ADMIN_READ, Scope.METRICS_READ})
"""What a key of the deployment itself may do unless more is asked for."""
LATEST_EXPIRY = datetime(9000, 1, 1, tzinfo=UTC)
"""Behind it, a moment of one time zone may have none in another: no year has five digits."""


class WishRefused(Refused):
    """One member of a wish cannot be met; the message does not repeat it."""

    def __init__(self, member: str, message: str, *, fact: str | None = None) -> None:
        super().__init__(message, fact=fact, member=member)


@dataclass(frozen=True, slots=True)
class KeyWish:
    """What a new key shall be. `scopes` None is the usual set; rates None are the plan's; no network is anywhere."""

    name: str = "default"
    scopes: AbstractSet[Scope] | None = None
    expires_at: datetime | None = None
    requests: Rate | None = None
    rows: Rate | None = None
    networks: tuple[Network, ...] = ()


def check_key_name(name: str) -> None:
    """Raises WishRefused."""
    try:
        check_name("key", name)
    except Refused as refusal:
        raise WishRefused("name", str(refusal), fact=refusal.fact) from None


def check_expiry(expires_at: datetime | None, now: datetime) -> None:
    """Raises WishRefused when it lies behind, or where clocks and databases no longer count alike."""
    fact = f"must be a moment that is still to come, before the year {LATEST_EXPIRY.year}; or leave it out"
    if expires_at is not None and expires_at >= LATEST_EXPIRY:
        said = f"the key would expire in {LATEST_EXPIRY.year} or later: leave the end out, or give an earlier one"
        raise WishRefused("expires_at", said, fact=fact)
    if expires_at is not None and expires_at <= now:
        said = f"the key would have expired at {expires_at:%Y-%m-%d %H:%M} UTC"
        raise WishRefused("expires_at", f"{said}: give a moment that is still to come", fact=fact)


def default_scopes(tenant: Tenant) -> frozenset[Scope]:
    """The usual set."""
    return OPERATOR_KEY_SCOPES if tenant.name == OPERATOR_TENANT else DEFAULT_KEY_SCOPES


def scopes_for(tenant: str, wanted: AbstractSet[Scope]) -> frozenset[Scope]:
    """The scopes wanted. Raises WishRefused for none, or for one that the tenant's keys cannot have."""
    if not wanted:
        raise WishRefused("scopes", "a key needs one scope or more")
    allowed = scopes_of_tenant(tenant)
    wider = sorted(wanted - allowed)
    if wider:
        said = f"a key of {tenant} cannot have {', '.join(wider)}: it can have {', '.join(sorted(allowed))}"
        raise WishRefused("scopes", f"{said}; keys of {OPERATOR_TENANT} can have all")
    return frozenset(wanted)


def check_rates(requests: Rate | None, rows: Rate | None, plan: Plan) -> None:
    """Raises WishRefused when a key would be given more than its plan."""
    for member, own, of_plan in (("requests", requests, plan.requests), ("rows", rows, plan.rows)):
        if own is not None:
            try:
                check_key_rate(member, own, plan, of_plan)
            except Refused as refusal:
                raise WishRefused(member, str(refusal)) from None
