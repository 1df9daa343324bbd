"""`gatehouse limits show`: what a tenant is allowed, how far its month is used, and what observed limits would have refused."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from gatehouse.cli.deployment import open_deployment
from gatehouse.cli.output import Json, print_json, print_table, rate
from gatehouse.operating.tenant_limits import TenantLimits, limits_facts, read_limits
from gatehouse.principal import LimitMode, Rate

Line = tuple[str, str, str, str]


def show(tenant: Annotated[str, typer.Argument(metavar="TENANT", help="The tenant's name.")], json: Json = False) -> None:
    """Show a tenant's limits and those of its keys, how far its month is used, and what observed limits would have refused."""
    with open_deployment() as deployment:
        limits = read_limits(deployment.database, tenant, datetime.now(UTC))
    if json:
        print_json(limits_facts(limits))
        return
    print_table(("limit", "allows", "mode", "would have refused this month"), [*_rates(limits), *_own_rates(limits), _quota(limits)])
    typer.echo(_month(limits))


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
