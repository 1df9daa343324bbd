"""Whether rates and the quota have room for a tenant: the steps of `gatehouse why` that look at what may be called now."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence

from gatehouse.limits.overview import LimitLeft, limits_left
from gatehouse.limits.quota_refusal import NAME as QUOTA
from gatehouse.operating.tenant_limits import TenantLimits
from gatehouse.operating.why_caller import Caller
from gatehouse.operating.why_step import Step
from gatehouse.principal import Principal

QUOTA_REFUSALS = (QUOTA, "quota_exhausted")
SPAN_S = 60
"""Refusals of so many seconds count as those of now."""
RATES = ("tenant-requests", "tenant-rows", "key-requests", "key-rows")
Refusals = Mapping[str, int]
"""Calls refused in the last minute, by what refused them."""


def limits_step(caller: Caller, refusals: Refusals, redis_url: str, processes: int) -> Step:
    """Whether the rates let calls in: by Redis where it decides, else by who was refused just now, which the database knows."""
    shared = f"; each of {processes} processes lets in 1/{processes} of each limit" if processes > 1 else ""
    said, spent = _in_redis(caller.principals, redis_url) if redis_url else (shared, [])
    refused = [f"{name} refused {_calls(refusals[name])} in the last minute" for name in _refusing(refusals)]
    if not refused and not spent:
        return Step("limits", True, f"no call was refused by a rate of plan {caller.plan.name} in the last minute{said}")
    names = {each.limit.name for each in spent} | set(_refusing(refusals))
    detail = "; ".join([*refused, *(f"{each.limit.name} has nothing left for {each.whole_in_s} s" for each in spent)])
    return Step("limits", False, f"{detail}: calls get 429", _more(caller, names))


def _refusing(refusals: Refusals) -> Iterator[str]:
    """Names of rates, also of those that are closed."""
    return (name for name in sorted(refusals) if name.removesuffix("_closed") in RATES)


def _more(caller: Caller, names: set[str]) -> str:
    tenant = caller.tenant.name
    own = next((key for key in caller.keys if key.requests or key.rows), None)
    if own is not None and any(name.startswith("key-") for name in names):
        return f"let it wait for Retry-After, or give the key more: gatehouse keys edit {own.id} --requests none --rows none"
    return f"let it wait for Retry-After, or give it more: gatehouse tenants edit {tenant} --plan PLAN (gatehouse plans list)"


def _in_redis(principals: Sequence[Principal], url: str) -> tuple[str, list[LimitLeft]]:
    """What to say of Redis, and the limits in it that have nothing left."""
    from gatehouse.limits.redis_lines import RedisUnavailable, RedisUrlInvalid

    try:
        left = asyncio.run(_left(principals, url))
    except (RedisUnavailable, RedisUrlInvalid):
        return "; Redis does not decide now, so each process takes its share: gatehouse doctor", []
    spent = {each.limit.id: each for each in left if not each.observed and not each.left}
    return "; left now: " + ", ".join(f"{each.limit.name} {each.left:,}" for each in left[:4]), list(spent.values())


async def _left(principals: Sequence[Principal], url: str) -> list[LimitLeft]:
    """Looks, and takes nothing. Raises RedisUnavailable, RedisUrlInvalid."""
    from gatehouse.limits.redis_lines import RedisLines
    from gatehouse.limits.redis_rates import SCRIPT, RedisRates

    rates = RedisRates(RedisLines(url, SCRIPT, most=1), "why")
    try:
        return [left for principal in principals for left in await limits_left(rates, principal)]
    finally:
        await rates.close()


def quota_step(limits: TenantLimits, refusals: Refusals) -> Step:
    """Whether the month has rows left; of a soft quota it never refuses."""
    plan, left, month = limits.plan, limits.rows_left, limits.month
    if plan.quota_mode == "soft":
        return Step("quota", True, f"{limits.standing.metered:,} of {plan.rows_per_month:,} rows of {month.name} are used; it is soft")
    refused = sum(refusals.get(name, 0) for name in QUOTA_REFUSALS)
    if left and not refused:
        return Step("quota", True, f"{left:,} of {plan.rows_per_month:,} rows of {month.name} are left")
    used = f"{left:,} of the {plan.rows_per_month:,} rows of {month.name} are left"
    said = f", too few for {_calls(refused)} of the last minute" if left else ""
    remedy = f"gatehouse tenants edit {limits.tenant} --plan PLAN, or wait for {month.end:%Y-%m-%d} 00:00 UTC"
    return Step("quota", False, f"{used}{said}: calls get 429", remedy)


def _calls(number: int) -> str:
    return "1 call" if number == 1 else f"{number:,} calls"
