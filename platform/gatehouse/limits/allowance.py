"""What a principal is allowed: the rate limits that its plan and its key give it."""

from dataclasses import dataclass, field
from functools import lru_cache, partial
from weakref import ref

from gatehouse.limits.rate import LimitScope, LimitUnit, RateLimit
from gatehouse.limits.report import policy_field, state_template
from gatehouse.principal import Principal, Rate

LIMITS_KEPT = 8192


@dataclass(frozen=True, slots=True)
class PrincipalLimits:
    """All limits of one principal: those of its tenant, which hold however many keys it has, and those of its key."""

    requests: tuple[RateLimit, ...]
    """Of the first decision: one request each."""
    rows: tuple[RateLimit, ...]
    """Of the second decision: all rows of the call each."""
    observed_requests: tuple[RateLimit, ...] = ()
    observed_rows: tuple[RateLimit, ...] = ()
    """Asked beside the decisions: what they would refuse is only shown."""
    one_request: tuple[tuple[RateLimit, int], ...] = field(init=False, repr=False)
    one_row: tuple[tuple[RateLimit, int], ...] = field(init=False, repr=False)
    """What most decisions ask for: one of each limit."""
    requests_told: tuple[str, str] = field(init=False, repr=False)
    rows_told: tuple[str, str] = field(init=False, repr=False)
    """What `RateLimit-Policy` says of the limits, and what `RateLimit` does, to be filled in."""

    def __post_init__(self) -> None:
        # a frozen dataclass has no other way to keep what follows from its own fields
        object.__setattr__(self, "one_request", tuple((limit, 1) for limit in self.requests))
        object.__setattr__(self, "one_row", tuple((limit, 1) for limit in self.rows))
        for name, limits in (("requests_told", self.requests), ("rows_told", self.rows)):
            object.__setattr__(self, name, (policy_field(limits), state_template(limits)))


_LIMITS: dict[int, tuple[PrincipalLimits, ref[Principal]]] = {}
"""By the principal's `id`: what a WeakKeyDictionary is, found in half the time. An entry goes before its `id` can be another one's."""


def limits_of(principal: Principal) -> PrincipalLimits:
    """The limits of a principal, worked out once for each object."""
    kept = _LIMITS.get(id(principal))
    return _keep(principal) if kept is None else kept[0]


def _keep(principal: Principal) -> PrincipalLimits:
    limits, number = _work_out(principal), id(principal)
    _LIMITS[number] = limits, ref(principal, partial(_LIMITS.pop, number))
    return limits


def _work_out(principal: Principal) -> PrincipalLimits:
    plan = principal.plan
    requests = _pair(principal, "requests", plan.requests, principal.key_requests or plan.requests)
    rows = _pair(principal, "rows", plan.rows, principal.key_rows or plan.rows)
    observed_requests, observed_rows = plan.requests_mode == "observe", plan.rows_mode == "observe"
    return PrincipalLimits(
        () if observed_requests else requests,
        () if observed_rows else rows,
        requests if observed_requests else (),
        rows if observed_rows else (),
    )


def _pair(principal: Principal, unit: LimitUnit, tenant: Rate, key: Rate) -> tuple[RateLimit, ...]:
    of_tenant = _limit("tenant", principal.tenant_id, unit, tenant)
    return (of_tenant, _limit("key", principal.key_id, unit, key)) if principal.key_id else (of_tenant,)  # a person has none


@lru_cache(maxsize=LIMITS_KEPT)  # the same object for each key of a tenant: rates are then compared by identity
def _limit(scope: LimitScope, owner: str, unit: LimitUnit, rate: Rate) -> RateLimit:
    return RateLimit(f"{scope}:{owner}:{unit}", f"{scope}-{unit}", scope, unit, rate.count, rate.period_s * 1_000_000, rate.burst)
