"""How a quota refuses."""

import math
from datetime import datetime
from typing import NoReturn

from gatehouse.errors import QuotaExhausted, QuotaUnavailable
from gatehouse.limits.month import Month
from gatehouse.principal import Plan

RETRY_AFTER_S = 1
NAME = "tenant-month"
"""Of the quota in `RateLimit` fields, among the limits and in problem documents."""


def exhausted(plan: Plan, month: Month, left: int, rows: int, now: datetime) -> NoReturn:
    """Raises QuotaExhausted."""
    resets_at = f"{month.end:%Y-%m-%dT%H:%M:%SZ}"
    used_up = "is used up" if left <= 0 else f"has {left} rows left and this call has {rows}"
    raise QuotaExhausted(
        f"The monthly quota of {plan.rows_per_month} rows {used_up}. It starts anew at {resets_at}.",
        headers=[("Retry-After", str(max(1, math.ceil((month.end - now).total_seconds()))))],
        members={
            "quota": {"name": NAME, "scope": "tenant", "rows_per_month": plan.rows_per_month, "rows_left": left, "resets_at": resets_at}
        },
    )


def unavailable() -> QuotaUnavailable:
    """Where the database cannot say."""
    return QuotaUnavailable(headers=[("Retry-After", str(RETRY_AFTER_S))])
