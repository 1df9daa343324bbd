"""`gatehouse limits show`: what a tenant is allowed, how far its month is used, and what observed limits would have refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from gatehouse.cli.deployment import Deployment, open_deployment
from gatehouse.cli.output import Json, print_json, print_table, rate
from gatehouse.identity.key_store import ApiKey
from gatehouse.identity.keys import list_keys
from gatehouse.identity.plans import facts_of_plan, facts_of_rate, named_plan
from gatehouse.identity.tenants import named_tenant
from gatehouse.limits.month import Month, month_of
from gatehouse.limits.standing_store import MonthStanding, ObservedRefusal, StandingStore
from gatehouse.principal import LimitMode, Plan, Rate

Line = tuple[str, str, str, str]


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


def show(tenant: Annotated[str, typer.Argument(metavar="TENANT", help="The tenant's name.")], json: Json = False) -> None:
    """Show a tenant's limits and those of its keys, how far its month is used, and what observed limits would have refused."""
    with open_deployment() as deployment:
        limits = _read(deployment, tenant, datetime.now(UTC))
    if json:
        print_json(_facts(limits))
        return
    print_table(("limit", "allows", "mode", "would have refused this month"), [*_rates(limits), *_own_rates(limits), _quota(limits)])
    typer.echo(_month(limits))


def _read(deployment: Deployment, tenant: str, now: datetime) -> TenantLimits:
    with deployment.database.read() as session:
        found = named_tenant(session, tenant)
        plan = named_plan(session, found.plan)
    keys = [key for key in list_keys(deployment.database, tenant) if key.revoked_at is None and (key.requests or key.rows)]
    store, month = StandingStore(deployment.database), month_of(now)
    return TenantLimits(tenant, plan, keys, month, store.month_standing(found.id, month), store.observed(found.id, month))


def _rates(limits: TenantLimits) -> list[Line]:
    plan = limits.plan
    pairs: list[tuple[str, Rate, LimitMode]] = [("requests", plan.requests, plan.requests_mode), ("rows", plan.rows, plan.rows_mode)]
    return [
        (f"{scope}-{unit}", f"{rate(of)}{of_each}", mode, _refused(limits, f"{scope}-{unit}"))
        for scope, of_each in (("tenant", ""), ("key", " (each key)"))
        for unit, of, mode in pairs
    ]


def _own_rates(limits: TenantLimits) -> list[Line]:
    plan = limits.plan
    return [
        (f"key-{unit}", f"{rate(own)} (key {key.id})", mode, "")
        for key in limits.keys
        for unit, own, mode in (("requests", key.requests, plan.requests_mode), ("rows", key.rows, plan.rows_mode))
        if own is not None
    ]


def _quota(limits: TenantLimits) -> Line:
    return ("tenant-month", f"{limits.plan.rows_per_month:,} rows", limits.plan.quota_mode, _refused(limits, "tenant-month"))


def _refused(limits: TenantLimits, name: str) -> str:
    found = next((each for each in limits.observed if each.name == name), None)
    if found is None:
        return ""
    return f"{found.calls:,} calls" + (f" of {found.rows:,} rows" if found.rows else "")


def _month(limits: TenantLimits) -> str:
    standing, ends = limits.standing, f"{limits.month.end:%Y-%m-%d}"
    holders = "1 process" if standing.holders == 1 else f"{standing.holders} processes"
    held = f"; {standing.held:,} more are held ahead or on their way by {holders}" if standing.held else ""
    return f"{limits.month.name}: {standing.metered:,} rows metered, {limits.rows_left:,} left until {ends} 00:00 UTC{held}"


def _facts(limits: TenantLimits) -> dict[str, Any]:
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
