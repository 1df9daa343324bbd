"""Whether rates and the quota have room for a tenant: the steps of `gatehouse why` that look at what may be called now."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from gatehouse.limits.allowance import limits_of
from gatehouse.limits.overview import LimitLeft, limits_left
from gatehouse.limits.quota_refusal import NAME as QUOTA
from gatehouse.operating.tenant_limits import TenantLimits
from gatehouse.operating.why_caller import Caller
from gatehouse.operating.why_step import Step
from gatehouse.principal import Principal, Rate

QUOTA_REFUSALS = (QUOTA, "quota_exhausted")
SPAN_S = 60
"""Refusals of so many seconds count as those of now."""
RATES = ("tenant-requests", "tenant-rows", "key-requests", "key-rows")
CLOSED = "_closed"
"""Behind the name of a rate that lets nothing in."""
Refusals = Mapping[str, Mapping[str, int]]
"""Calls refused in the last minute, by what refused them and key."""


def limits_step(caller: Caller, refusals: Refusals, redis_url: str, processes: int, now: datetime) -> Step:
    """Whether the rates let calls in: by Redis where it decides, else by who was refused just now, which the database knows."""
    shut = _shut_keys(caller, now)
    if closed := _closed_step(caller, refusals, shut, now):
        return closed
    shared = f"; each of {processes} processes lets in 1/{processes} of each limit" if processes > 1 else ""
    said, spent = _in_redis(caller.principals(now), redis_url) if redis_url else (shared, [])
    names = [name for name in sorted(refusals) if name in RATES]
    if not names and not spent:
        said += f"; {len(shut)} of its keys {'lets' if len(shut) == 1 else 'let'} nothing in" if shut else ""
        return Step("limits", True, f"no call was refused by a rate of plan {caller.plan.name} in the last minute{said}")
    refused = [f"{name} refused {_calls(sum(refusals[name].values()))} in the last minute" for name in names]
    detail = "; ".join([*refused, *(f"{each.limit.name} has nothing left for {each.whole_in_s} s" for each in spent)])
    # the id of a limit names the key that it is of
    hit = [(key, name) for name in names for key in refusals[name]] + [(each.limit.id.split(":")[1], each.limit.name) for each in spent]
    return Step("limits", False, f"{detail}: calls get 429", _more(caller, hit))


def _shut_keys(caller: Caller, now: datetime) -> dict[str, list[str]]:
    """Living keys with a limit of their own that lets nothing in, and of what."""
    found = {key.id: [unit for unit in _shut(caller.principal(key), "key") if getattr(key, unit)] for key in caller.living(now)}
    return {key: units for key, units in found.items() if units}


def _shut(principal: Principal, scope: str) -> list[str]:
    """Of what such a limit lets nothing in; one that is only observed refuses nothing."""
    limits = limits_of(principal)
    return [limit.unit for limit in limits.requests + limits.rows if limit.scope == scope and limit.closed]


def _closed_step(caller: Caller, refusals: Refusals, shut: Mapping[str, Sequence[str]], now: datetime) -> Step | None:
    """What the plan shuts, or all keys; of one key among others only where it was refused just now. There is nothing to wait for."""
    tenant, plan = caller.tenant.name, caller.plan.name
    if units := _shut(caller.principal(), "tenant"):
        opened = " ".join(option for unit in units for option in _opened(unit, getattr(caller.plan, unit)))
        remedy = f"gatehouse plans edit {plan} {opened}, or gatehouse tenants edit {tenant} --plan PLAN (gatehouse plans list)"
        return Step("limits", False, f"plan {plan} lets in no {' and no '.join(units)} at all: calls get 429", remedy)
    refused = [key for key, units in shut.items() if any(key in refusals.get(f"key-{unit}{CLOSED}", {}) for unit in units)]
    if not shut or (not refused and len(shut) < len(caller.living(now))):
        return None
    key = (refused or list(shut))[0]
    remedy = f"gatehouse keys edit {key} {' '.join(f'--{unit} none' for unit in shut[key])}"
    return Step("limits", False, f"key {key} lets in no {' and no '.join(shut[key])} at all: calls get 429", remedy)


def _opened(unit: str, rate: Rate) -> Iterator[str]:
    """Options that open a plan's rate: for that of count and burst which is 0, or for both."""
    if not rate.count:
        yield f"--{unit} RATE"
    if not rate.burst:
        yield f"--{unit}-burst NUMBER"


def _more(caller: Caller, hit: Sequence[tuple[str, str]]) -> str:
    """`hit`: keys, or the tenant, and the names of limits that refused them."""
    wait, tenant = "let it wait for Retry-After, or give", caller.tenant.name
    for key in caller.keys:
        own = sorted({unit for unit in ("requests", "rows") if (key.id, f"key-{unit}") in hit and getattr(key, unit)})
        if own:
            return f"{wait} the key more: gatehouse keys edit {key.id} {' '.join(f'--{unit} none' for unit in own)}"
    return f"{wait} it more: gatehouse tenants edit {tenant} --plan PLAN (gatehouse plans list)"


def _in_redis(principals: Sequence[Principal], url: str) -> tuple[str, list[LimitLeft]]:
    """What to say of Redis, and the limits in it that have nothing left."""
    from gatehouse.limits.redis_lines import RedisUnavailable, RedisUrlInvalid

    try:
        left = asyncio.run(_left(principals, url))
    except (RedisUnavailable, RedisUrlInvalid):
        return "; Redis does not decide now, so each process takes its share: gatehouse doctor", []
    spent = {each.limit.id: each for each in left if not each.observed and not each.left and not each.limit.closed}
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
    refused = sum(sum(refusals.get(name, {}).values()) for name in QUOTA_REFUSALS)
    if left and not refused:
        return Step("quota", True, f"{left:,} of {plan.rows_per_month:,} rows of {month.name} are left")
    used = f"{left:,} of the {plan.rows_per_month:,} rows of {month.name} are left"
    said = f", too few for {_calls(refused)} of the last minute" if left else ""
    remedy = f"gatehouse tenants edit {limits.tenant} --plan PLAN, or wait for {month.end:%Y-%m-%d} 00:00 UTC"
    return Step("quota", False, f"{used}{said}: calls get 429", remedy)


def _calls(number: int) -> str:
    return "1 call" if number == 1 else f"{number:,} calls"
