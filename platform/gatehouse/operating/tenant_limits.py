"""What a tenant is allowed, how far its month is used, and what observed limits would have refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gatehouse.db.session import Database
from gatehouse.identity.key_store import ApiKey
from gatehouse.identity.keys import list_keys
from gatehouse.identity.plans import facts_of_plan, facts_of_rate, named_plan
from gatehouse.identity.tenants import named_tenant
from gatehouse.limits.month import Month, month_of
from gatehouse.limits.standing_store import MonthStanding, ObservedRefusal, StandingStore
from gatehouse.principal import Plan


@dataclass(frozen=True, slots=True)
class TenantLimits:
    """`keys` are those with limits of their own."""

    tenant: str
    plan: Plan
    keys: Sequence[ApiKey]
    month: Month
    standing: MonthStanding
    observed: Sequence[ObservedRefusal]

    @property
    def rows_left(self) -> int:
        return max(0, self.plan.rows_per_month - self.standing.metered)


def read_limits(database: Database, tenant: str, now: datetime) -> TenantLimits:
    """Of the tenant of this name. Raises NotKnown."""
    with database.read() as session:
        found = named_tenant(session, tenant)
        plan = named_plan(session, found.plan)
    keys = [key for key in list_keys(database, tenant) if key.revoked_at is None and (key.requests or key.rows)]
    store, month = StandingStore(database), month_of(now)
    return TenantLimits(tenant, plan, keys, month, store.month_standing(found.id, month), store.observed(found.id, month))


def limits_facts(limits: TenantLimits) -> dict[str, Any]:
    """As JSON values."""
    standing = limits.standing
    return {
        "tenant": limits.tenant,
        "plan": facts_of_plan(limits.plan),
        "keys": [
            {
                "id": key.id,
                "requests": facts_of_rate(key.requests) if key.requests else None,
                "rows": facts_of_rate(key.rows) if key.rows else None,
            }
            for key in limits.keys
        ],
        "quota": {
            "month": limits.month.name,
            "rows_metered": standing.metered,
            "rows_left": limits.rows_left,
            "rows_held": standing.held,
            "holders": standing.holders,
            "warned_percent": standing.warned_percent,
            "resets_at": f"{limits.month.end:%Y-%m-%dT%H:%M:%SZ}",
        },
        "would_have_refused": [
            {"name": each.name, "calls": each.calls, "rows": each.rows, "last_at": f"{each.last_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"}
            for each in limits.observed
        ],
    }
