"""A tenant's own things: what it may call and how much is left. Free, never metered."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from gatehouse.api.account_bodies import AccountBody
from gatehouse.api.model_bodies import answers_with
from gatehouse.api.models import Summary
from gatehouse.api.principal import Needs
from gatehouse.api.probing import get_and_head
from gatehouse.api.strict_router import strict_router
from gatehouse.api.throttle import Throttle, by_key
from gatehouse.migration.lifecycle import Endpoints
from gatehouse.principal import Plan, Principal, Rate, Scope

AccountReader = Annotated[Principal, Depends(Needs(Scope.ACCOUNT_READ))]


@dataclass(frozen=True, slots=True)
class AccountSources:
    """Where an account's facts come from; each may ask the database."""

    key_expires_at: Callable[[str], datetime | None]
    rows_left: Callable[[Principal], int]


def account_router(endpoints: Endpoints, sources: AccountSources, summary: Summary, throttle: Throttle, per_minute: int) -> APIRouter:
    """`GET /account`."""
    router = strict_router(prefix="/account", tags=["account"])
    limited = throttle.limit(f"{per_minute}/minute", key_func=by_key)

    @get_and_head(
        router,
        "",
        summary="Your tenant, key or person, plan, rows left and endpoints",
        operation_id="show_account",
        **answers_with(AccountBody),
    )
    @limited
    def show_account(request: Request, principal: AccountReader) -> dict[str, Any]:
        granted = [summary(endpoint, principal) for endpoint in endpoints.granted(principal)]
        return {
            "tenant": principal.tenant,
            **(person_facts(principal) if principal.person_id else key_facts(principal, sources.key_expires_at(principal.key_id))),
            "plan": plan_facts(principal.plan),
            "rows_left": sources.rows_left(principal),
            "default_model": principal.default_model,
            "endpoints": granted,
        }

    return router


def key_facts(principal: Principal, expires_at: datetime | None) -> dict[str, Any]:
    """The key that calls."""
    own = {"requests": rate_facts(principal.key_requests), "rows": rate_facts(principal.key_rows)}
    ends = expires_at.isoformat() if expires_at else None
    return {"key": {"id": principal.key_id, "scopes": sorted(principal.scopes), "expires_at": ends, **own}}


def person_facts(principal: Principal) -> dict[str, Any]:
    """The person who calls; `scopes` are what the person may do here, and give to keys."""
    since = datetime.fromtimestamp(principal.authenticated_at, UTC).isoformat()
    return {"person": {"id": principal.person_id, "role": principal.role, "scopes": sorted(principal.scopes), "logged_in_at": since}}


def plan_facts(plan: Plan) -> dict[str, Any]:
    """A plan as its tenant sees it."""
    return {
        "name": plan.name,
        "requests": rate_facts(plan.requests),
        "rows": rate_facts(plan.rows),
        "rows_per_month": plan.rows_per_month,
        "quota": plan.quota_mode,
        "rows_per_call": plan.rows_per_call,
        "bytes_per_call": plan.bytes_per_call,
    }


def rate_facts(rate: Rate | None) -> dict[str, int] | None:
    """A rate in words of its own."""
    return {"count": rate.count, "period_s": rate.period_s, "burst": rate.burst} if rate else None
