"""`/admin/tenants/{tenant}/limits`: what a tenant is allowed, how far its month is used, and what observed limits would have refused."""

from datetime import datetime

from fastapi import APIRouter, Request

from gatehouse.api.admin.changing import AdminReader
from gatehouse.api.admin.parts import AdminParts
from gatehouse.api.admin.plans import PlanEntry
from gatehouse.api.admin.tenant_bodies import TenantPath
from gatehouse.api.admin.tenants import referred
from gatehouse.api.key_bodies import Closed, RateEntry
from gatehouse.api.probing import get_and_head
from gatehouse.api.strict_router import strict_router
from gatehouse.operating.tenant_limits import limits_facts, read_limits


class OwnLimits(Closed):
    """Of a key with limits of its own."""

    id: str
    requests: RateEntry | None
    rows: RateEntry | None


class QuotaStanding(Closed):
    """How far the month is used. `rows_held` are held ahead by so many processes, and not metered yet."""

    month: str
    rows_metered: int
    rows_left: int
    rows_held: int
    holders: int
    warned_percent: int
    resets_at: datetime


class WouldHaveRefused(Closed):
    """What a limit that is only observed would have refused this month."""

    name: str
    calls: int
    rows: int
    last_at: datetime


class TenantLimitsBody(Closed):
    """The plan, keys with limits of their own, the month, and what observed limits would have refused."""

    tenant: str
    plan: PlanEntry
    keys: list[OwnLimits]
    quota: QuotaStanding
    would_have_refused: list[WouldHaveRefused]


def tenant_limits_router(parts: AdminParts) -> APIRouter:
    """A tenant's limits."""
    router = strict_router(prefix="/admin/tenants", tags=["admin: tenants"])

    @get_and_head(router, "/{tenant}/limits", summary="A tenant's limits and how far its month is used", operation_id="admin_show_limits")
    @parts.limited
    def show(request: Request, principal: AdminReader, tenant: TenantPath) -> TenantLimitsBody:
        with parts.database.read() as session:
            name = referred(session, tenant).name
        return TenantLimitsBody.model_validate(limits_facts(read_limits(parts.database, name, parts.now())))

    return router
