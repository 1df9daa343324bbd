"""`GET /account/limits`: each limit and quota, what is left of it and when it is whole again. Free, never metered."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request

from gatehouse.api.account import AccountReader
from gatehouse.api.account_bodies import LimitsBody
from gatehouse.api.model_bodies import answers_with
from gatehouse.api.probing import get_and_head
from gatehouse.api.strict_router import strict_router
from gatehouse.api.throttle import Throttle, by_key
from gatehouse.limits.month import month_of
from gatehouse.limits.overview import LimitLeft
from gatehouse.limits.quota_refusal import NAME
from gatehouse.principal import Plan, Principal


@dataclass(frozen=True, slots=True)
class LimitSources:
    """`rows_left` asks the database. `now` is an aware clock."""

    limits_left: Callable[[Principal], Sequence[LimitLeft]]
    rows_left: Callable[[Principal], int]
    now: Callable[[], datetime]


def account_limits_router(sources: LimitSources, throttle: Throttle, per_minute: int) -> APIRouter:
    """`GET /account/limits`."""
    router = strict_router(prefix="/account", tags=["account"])

    @get_and_head(
        router,
        "/limits",
        summary="Your limits and quota, what is left and when it is whole again",
        operation_id="show_limits",
        **answers_with(LimitsBody),
    )
    @throttle.limit(f"{per_minute}/minute", key_func=by_key)
    def show_limits(request: Request, principal: AccountReader) -> dict[str, Any]:
        plan = principal.plan
        return {
            "tenant": principal.tenant,
            "key": principal.key_id or None,
            "plan": plan.name,
            "limits": [limit_facts(each) for each in sources.limits_left(principal)],
            "quota": quota_facts(plan, sources.rows_left(principal), sources.now()),
            "call": {"rows": plan.rows_per_call, "bytes": plan.bytes_per_call},
        }

    return router


def limit_facts(each: LimitLeft) -> dict[str, Any]:
    """A rate limit. Problem documents name limits by the same members."""
    limit = each.limit
    return {
        "name": limit.name,
        "scope": limit.scope,
        "unit": limit.unit,
        "count": limit.count,
        "period_s": limit.period_us // 1_000_000,
        "burst": limit.burst,
        "mode": "observe" if each.observed else "enforce",
        "left": each.left,
        "whole_in_s": each.whole_in_s,
    }


def quota_facts(plan: Plan, rows_left: int, now: datetime) -> dict[str, Any]:
    """The quota of the month that `now` lies in."""
    return {
        "name": NAME,
        "scope": "tenant",
        "unit": "rows",
        "mode": plan.quota_mode,
        "rows_per_month": plan.rows_per_month,
        "rows_left": rows_left,
        "resets_at": f"{month_of(now).end:%Y-%m-%dT%H:%M:%SZ}",
    }
