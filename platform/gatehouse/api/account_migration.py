"""`GET /account/migration`: where a tenant stands with each of its endpoints that ends. Its own figures alone; free, never metered."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from gatehouse.api.account_migration_bodies import MigrationsBody
from gatehouse.api.model_bodies import answers_with
from gatehouse.api.models import Summary
from gatehouse.api.principal import Needs
from gatehouse.api.probing import get_and_head
from gatehouse.api.strict_router import strict_router
from gatehouse.api.throttle import Throttle, by_key
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.lifecycle import Endpoints
from gatehouse.migration.report import MigrationReport
from gatehouse.migration.report_facts import span_facts, tenant_facts
from gatehouse.principal import Principal, Scope

UsageReader = Annotated[Principal, Depends(Needs(Scope.USAGE_READ))]
Pairs = Sequence[tuple[Endpoint, Endpoint]]
"""Endpoints that end, each with its successor."""
ReadReports = Callable[[Pairs, str, datetime], Sequence[MigrationReport]]
"""One report a pair, of the tenant of this id alone, at a moment."""
SHOWN = ("model", "api_version", "lifecycle", "deprecated_at", "sunset", "successor", "reason", "link")


def account_migration_router(
    endpoints: Endpoints, reports: ReadReports, summary: Summary, throttle: Throttle, per_minute: int
) -> APIRouter:
    """`reports` asks the database."""
    router = strict_router(prefix="/account", tags=["account"])

    @get_and_head(
        router,
        "/migration",
        summary="Your calls on endpoints that end and on their successors, and what speaks against moving",
        operation_id="show_migration",
        **answers_with(MigrationsBody),
    )
    @throttle.limit(f"{per_minute}/minute", key_func=by_key)
    def show_migration(request: Request, principal: UsageReader) -> dict[str, Any]:
        pairs = ending_pairs(endpoints, principal)
        found = reports(pairs, principal.tenant_id, datetime.now(UTC)) if pairs else []
        told = [migration_facts(report, summary(report.pair.old, principal)) for report in found if report.tenants]
        return {"tenant": principal.tenant, "migrations": told}

    return router


def ending_pairs(endpoints: Endpoints, principal: Principal) -> list[tuple[Endpoint, Endpoint]]:
    """What this caller may call, or could until it was retired, with what follows; in order of name and version."""
    known = {(endpoint.model, endpoint.api_version): endpoint for endpoint in endpoints.all()}
    ending = [(each, each.deprecation) for each in endpoints.granted(principal)]
    named = [(each, known.get((each.model, said.successor))) for each, said in ending if said is not None]
    return [(old, new) for old, new in named if new is not None]


def migration_facts(report: MigrationReport, endpoint: Mapping[str, Any]) -> dict[str, Any]:
    """An endpoint as its callers see it, with the facts of the one tenant that the report is of."""
    (row,) = report.tenants
    return {
        **{name: endpoint[name] for name in SHOWN},
        **span_facts(report),
        "upgrade_rules": report.pair.rules,
        "calls_a_day": report.switched_off.calls_a_day,
        **tenant_facts(row),
    }
