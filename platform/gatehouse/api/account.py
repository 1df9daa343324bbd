"""A tenant's own things: what it may call, how much is left, what it has used. Free, never metered."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from gatehouse.api.models import Summary
from gatehouse.api.principal import needs
from gatehouse.api.throttle import Throttle, by_key
from gatehouse.errors import InvalidInput
from gatehouse.migration.lifecycle import Endpoints
from gatehouse.principal import Plan, Principal, Rate, Scope
from gatehouse.usage.store import UsageRow

DEFAULT_DAYS = 31
MAX_DAYS = 366
AccountReader = Annotated[Principal, Depends(needs(Scope.ACCOUNT_READ))]
UsageReader = Annotated[Principal, Depends(needs(Scope.USAGE_READ))]


@dataclass(frozen=True, slots=True)
class AccountSources:
    """Where an account's facts come from; each may ask the database."""

    key_expires_at: Callable[[str], datetime | None]
    rows_left: Callable[[Principal], int]
    usage: Callable[[str, date, date], list[UsageRow]]


def account_router(endpoints: Endpoints, sources: AccountSources, summary: Summary, throttle: Throttle, per_minute: int) -> APIRouter:
    """`GET /account` and `GET /account/usage`."""
    router = APIRouter(prefix="/account", tags=["account"])
    limited = throttle.limit(f"{per_minute}/minute", key_func=by_key)

    @router.get("", summary="Your tenant, key, plan, rows left and endpoints", operation_id="show_account")
    @limited
    def show_account(request: Request, principal: AccountReader) -> dict[str, Any]:
        expires_at = sources.key_expires_at(principal.key_id)
        granted = [summary(endpoint) for endpoint in endpoints.granted(principal)]
        return {
            "tenant": principal.tenant,
            "key": {
                "id": principal.key_id,
                "scopes": sorted(principal.scopes),
                "expires_at": expires_at.isoformat() if expires_at else None,
                "requests": rate_facts(principal.key_requests),
                "rows": rate_facts(principal.key_rows),
            },
            "plan": plan_facts(principal.plan),
            "rows_left": sources.rows_left(principal),
            "default_model": principal.default_model,
            "endpoints": [{**facts, "successor": None} for facts in granted],
        }

    @router.get("/usage", summary="Your calls and rows by day, endpoint, key and status", operation_id="show_usage")
    @limited
    def show_usage(
        request: Request,
        principal: UsageReader,
        since: Annotated[date | None, Query(description="First day, UTC, YYYY-MM-DD; 30 days before `until` by default")] = None,
        until: Annotated[date | None, Query(description="Last day, UTC, YYYY-MM-DD; today by default")] = None,
    ) -> dict[str, Any]:
        check_parameters(request)
        last = until or datetime.now(UTC).date()
        first = since or last - timedelta(days=min(DEFAULT_DAYS - 1, last.toordinal() - 1))
        check_span(first, last)
        rows = sources.usage(principal.tenant_id, first, last)
        return {
            "tenant": principal.tenant,
            "since": first.isoformat(),
            "until": last.isoformat(),
            "calls": sum(row.calls for row in rows),
            "rows": sum(row.rows for row in rows),
            "usage": [usage_facts(row) for row in rows],
        }

    return router


def check_parameters(request: Request) -> None:
    """A misspelt parameter would be answered for another span than was meant. Raises InvalidInput."""
    unknown = sorted(set(request.query_params) - {"since", "until"})
    if unknown:
        errors = [
            {"parameter": name[:64], "code": "unknown_parameter", "detail": "the parameters are since and until"} for name in unknown[:20]
        ]
        raise InvalidInput(
            "The query has a parameter that is not known here; it takes since and until, each YYYY-MM-DD.", members={"errors": errors}
        )


def check_span(first: date, last: date) -> None:
    """Raises InvalidInput."""
    if first > last or (last - first).days >= MAX_DAYS:
        detail = f"since must not be after until, and the span at most {MAX_DAYS} days"
        raise InvalidInput(members={"errors": [{"parameter": "since", "code": "out_of_range", "detail": detail}]})


def usage_facts(row: UsageRow) -> dict[str, Any]:
    """One line of usage; None where a call reached no model."""
    return {
        "day": row.day.isoformat(),
        "key": row.key_id,
        "model": row.model or None,
        "api_version": row.api_version or None,
        "status": row.status,
        "calls": row.calls,
        "rows": row.rows,
    }


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
