"""Whether rates and the quota have room for a tenant: the steps of `gatehouse why` that look at what may be called now."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from gatehouse.limits.allowance import limits_of
from gatehouse.limits.overview import LimitLeft, limits_left
from gatehouse.limits.quota_refusal import NAME as QUOTA
from gatehouse.operating.tenant_limits import TenantLimits
from gatehouse.operating.welcome_limits import PERIODS
from gatehouse.operating.why_caller import Caller
from gatehouse.operating.why_step import Step, calls, minute
from gatehouse.principal import Principal, Rate
from gatehouse.usage.refusals_store import TOO_MANY, Refusal

QUOTA_REFUSALS = (QUOTA, "quota_exhausted")
RATES = ("tenant-requests", "tenant-rows", "key-requests", "key-rows")
CLOSED = "_closed"
"""Behind the name of a rate that lets nothing in."""


def limits_step(caller: Caller, refusals: Sequence[Refusal], redis_url: str, processes: int, now: datetime) -> Step:
    """Whether the rates let calls in: by Redis where it decides, else by who was refused just now, which the database knows.

    `refusals` are those of late.
    """
    shut = _shut_keys(caller, now)
    if closed := _closed_step(caller, refusals, shut, now):
        return closed
    by_rates = [each for each in refusals if each.status == TOO_MANY and each.by in RATES]
    held = [each for each in by_rates if each.just_now or _still_empty(caller, each, now)]
    shared = f"; each of {processes} processes lets in 1/{processes} of each limit" if processes > 1 else ""
    said, spent = _in_redis(caller.principals(now), redis_url) if redis_url else (shared, [])
    if not held and not spent:
        said += f"; {len(shut)} of its keys {'lets' if len(shut) == 1 else 'let'} nothing in" if shut else ""
        well = f"no call was refused by a rate of plan {caller.plan.name} or of its keys in the last minute{said}"
        if not by_rates:
            return Step("limits", True, well)
        return Step("limits", True, "; ".join([well, *_told(caller, by_rates)]), _more(caller, _hit(by_rates)), lately=True)
    detail = "; ".join([*_told(caller, held), *(f"{each.limit.name} has nothing left for {each.whole_in_s} s" for each in spent)])
    # the id of a limit names the key that it is of
    hit = _hit(held) + [(each.limit.id.split(":")[1], each.limit.name) for each in spent]
    return Step("limits", False, f"{detail}: calls get 429", _more(caller, hit))


def _still_empty(caller: Caller, refusal: Refusal, now: datetime) -> bool:
    """Whether the rate has not let one more in since: one a day refuses for a day."""
    rate = _rate(caller, refusal)
    return rate.count > 0 and now < refusal.last_at + timedelta(seconds=rate.period_s / rate.count)


def _rate(caller: Caller, refusal: Refusal) -> Rate:
    """The rate that refused, as it is now."""
    key = next((each for each in caller.keys if each.id == refusal.key_id), None)
    scope, unit = refusal.by.split("-")
    rate: Rate = (getattr(key, unit) if key and scope == "key" else None) or getattr(caller.plan, unit)
    return rate


def _told(caller: Caller, refusals: Sequence[Refusal]) -> list[str]:
    """One for each limit, whichever keys it refused."""
    names = sorted({each.by for each in refusals})
    return [_told_of(caller, name, [each for each in refusals if each.by == name]) for name in names]


def _told_of(caller: Caller, name: str, refusals: Sequence[Refusal]) -> str:
    rates = {_rate(caller, each) for each in refusals}
    if len(rates) == 1:
        rate = rates.pop()
        name += f" ({rate.count:,} {PERIODS.get(rate.period_s, f'in {rate.period_s:,} s')})"
    just_now = sum(each.just_now for each in refusals)
    if just_now:
        return f"{name} refused {calls(just_now)} in the last minute"
    number, last = sum(each.calls for each in refusals), max(each.last_at for each in refusals)
    return f"{name} refused {calls(number)} in the last 24 hours, the last at {minute(last)}"


def _hit(refusals: Sequence[Refusal]) -> list[tuple[str, str]]:
    return [(each.key_id, each.by) for each in refusals]


def _shut_keys(caller: Caller, now: datetime) -> dict[str, list[str]]:
    """Living keys with a limit of their own that lets nothing in, and of what."""
    found = {key.id: [unit for unit in _shut(caller.principal(key), "key") if getattr(key, unit)] for key in caller.living(now)}
    return {key: units for key, units in found.items() if units}


def _shut(principal: Principal, scope: str) -> list[str]:
    """Of what such a limit lets nothing in; one that is only observed refuses nothing."""
    limits = limits_of(principal)
    return [limit.unit for limit in limits.requests + limits.rows if limit.scope == scope and limit.closed]


def _closed_step(caller: Caller, refusals: Sequence[Refusal], shut: Mapping[str, Sequence[str]], now: datetime) -> Step | None:
    """What the plan shuts, or all keys; of one key among others only where it was refused just now. There is nothing to wait for."""
    tenant, plan = caller.tenant.name, caller.plan.name
    if units := _shut(caller.principal(), "tenant"):
        opened = " ".join(option for unit in units for option in _opened(unit, getattr(caller.plan, unit)))
        remedy = f"gatehouse plans edit {plan} {opened}, or gatehouse tenants edit {tenant} --plan PLAN (gatehouse plans list)"
        return Step("limits", False, f"plan {plan} lets in no {' and no '.join(units)} at all: calls get 429", remedy)
    by_closed = {(each.key_id, each.by) for each in refusals if each.just_now}
    refused = [key for key, units in shut.items() if any((key, f"key-{unit}{CLOSED}") in by_closed for unit in units)]
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


def quota_step(limits: TenantLimits, refusals: Sequence[Refusal]) -> Step:
    """Whether the month has rows left; of a soft quota it never refuses. `refusals` are those of late."""
    plan, left, month = limits.plan, limits.rows_left, limits.month
    if plan.quota_mode == "soft":
        return Step("quota", True, f"{limits.standing.metered:,} of {plan.rows_per_month:,} rows of {month.name} are used; it is soft")
    by_quota = [each for each in refusals if each.status == TOO_MANY and each.by in QUOTA_REFUSALS]
    just_now = sum(each.just_now for each in by_quota)
    said = f"{left:,} of the {plan.rows_per_month:,} rows of {month.name} are left"
    remedy = f"gatehouse tenants edit {limits.tenant} --plan PLAN, or wait for {month.end:%Y-%m-%d} 00:00 UTC"
    if left and not just_now:
        if not by_quota or left >= plan.rows_per_call:
            return Step("quota", True, said)
        number = sum(each.calls for each in by_quota)
        lately = f"too few for {calls(number)} of the last 24 hours, the last at {minute(by_quota[0].last_at)}: of more rows calls get 429"
        return Step("quota", True, f"{said}; {lately}", remedy, lately=True)
    few = f", too few for {calls(just_now)} of the last minute" if left else ""
    return Step("quota", False, f"{said}{few}: calls get 429", remedy)
