"""What the identity room reads and writes of tenants, plans and grants; of API keys see key_store, of tokens token_store."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, cast

from sqlalchemy import delete, insert, update
from sqlmodel import Session, col, select

from gatehouse.db.tables import ALL_VERSIONS, ApiKeyTable, GrantTable, PlanTable, TenantTable
from gatehouse.principal import OPERATOR_TENANT, TENANT_SCOPES, LimitMode, Plan, QuotaMode, Rate, Scope


@dataclass(frozen=True, slots=True)
class Tenant:
    id: str
    name: str
    plan: str
    default_model: str | None
    suspended_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Grant:
    """`api_version` is None for all of them."""

    tenant: str
    model: str
    api_version: str | None
    created_at: datetime


def scopes_of_tenant(name: str) -> frozenset[Scope]:
    """The widest scopes that a key of this tenant can have."""
    return frozenset(Scope) if name == OPERATOR_TENANT else TENANT_SCOPES


def list_plans(session: Session) -> list[Plan]:
    """All plans by name."""
    return [plan_of(row) for row in session.exec(select(PlanTable).order_by(col(PlanTable.name)))]


def find_plan(session: Session, name: str) -> Plan | None:
    row = session.get(PlanTable, name)
    return None if row is None else plan_of(row)


def add_plan(session: Session, plan: Plan) -> None:
    session.execute(insert(PlanTable).values(name=plan.name, created_at=datetime.now(UTC), **_plan_columns(plan)))


def change_plan(session: Session, plan: Plan) -> None:
    """Give the plan of this name these limits."""
    session.execute(update(PlanTable).where(col(PlanTable.name) == plan.name).values(**_plan_columns(plan)))


def list_tenants(session: Session) -> list[Tenant]:
    """All tenants by name."""
    return [tenant_of(row) for row in session.exec(select(TenantTable).order_by(col(TenantTable.name)))]


def find_tenant(session: Session, name: str) -> Tenant | None:
    row = session.exec(select(TenantTable).where(TenantTable.name == name)).one_or_none()
    return None if row is None else tenant_of(row)


def referred_tenant(session: Session, reference: str) -> Tenant | None:
    """By its id, or else by its name."""
    row = session.get(TenantTable, reference)
    return find_tenant(session, reference) if row is None else tenant_of(row)


def add_tenant(session: Session, tenant: Tenant) -> None:
    row = {"id": tenant.id, "name": tenant.name, "plan": tenant.plan, "default_model": tenant.default_model}
    session.execute(insert(TenantTable).values(**row, suspended_at=tenant.suspended_at, created_at=tenant.created_at))


def change_tenant(session: Session, tenant: Tenant) -> None:
    """Write plan, default model and suspension of the tenant of this id."""
    values = {"plan": tenant.plan, "default_model": tenant.default_model, "suspended_at": tenant.suspended_at}
    session.execute(update(TenantTable).where(col(TenantTable.id) == tenant.id).values(**values))


def list_grants(session: Session, tenant: Tenant | None = None) -> list[Grant]:
    """Grants of one tenant or all, by tenant, model and API version."""
    order = (col(TenantTable.name), col(GrantTable.model), col(GrantTable.api_version))
    query = select(GrantTable, TenantTable.name).join(TenantTable, col(TenantTable.id) == col(GrantTable.tenant_id)).order_by(*order)
    if tenant is not None:
        query = query.where(GrantTable.tenant_id == tenant.id)
    return [grant_of(row, name) for row, name in session.exec(query)]


def add_grant(session: Session, tenant: Tenant, model: str, api_version: str | None) -> None:
    values = {"tenant_id": tenant.id, "model": model, "api_version": api_version or ALL_VERSIONS}
    session.execute(insert(GrantTable).values(**values, created_at=datetime.now(UTC)))


def remove_grants(session: Session, tenant: Tenant, model: str, api_version: str | None = None) -> None:
    """Take away one API version of a model, or the whole model."""
    statement = delete(GrantTable).where(col(GrantTable.tenant_id) == tenant.id, col(GrantTable.model) == model)
    if api_version is not None:
        statement = statement.where(col(GrantTable.api_version) == api_version)
    session.execute(statement)


def stored_scopes(text: str) -> frozenset[Scope]:
    # a scope that this version does not know gives nothing
    return frozenset(scope for scope in Scope if scope in text.split())


def versions_by_model(grants: Iterable[tuple[str, str]]) -> Mapping[str, frozenset[str] | None]:
    versions: dict[str, set[str]] = {}
    for model, api_version in grants:
        versions.setdefault(model, set()).add(api_version)
    return MappingProxyType({model: None if ALL_VERSIONS in named else frozenset(named) for model, named in versions.items()})


def rate_of(row: ApiKeyTable, kind: str) -> Rate | None:
    count, period_s, burst = (getattr(row, f"{kind}_{part}") for part in ("count", "period_s", "burst"))
    return None if count is None else Rate(count, period_s, burst)


def rate_columns(kind: str, rate: Rate | None) -> dict[str, int | None]:
    if rate is None:
        return {f"{kind}_count": None, f"{kind}_period_s": None, f"{kind}_burst": None}
    return {f"{kind}_count": rate.count, f"{kind}_period_s": rate.period_s, f"{kind}_burst": rate.burst}


def plan_of(row: PlanTable) -> Plan:
    return Plan(
        name=row.name,
        requests=Rate(row.requests_count, row.requests_period_s, row.requests_burst),
        rows=Rate(row.rows_count, row.rows_period_s, row.rows_burst),
        rows_per_month=row.rows_per_month,
        quota_mode=cast(QuotaMode, row.quota_mode),
        rows_per_call=row.rows_per_call,
        bytes_per_call=row.bytes_per_call,
        requests_mode=cast(LimitMode, row.requests_mode),
        rows_mode=cast(LimitMode, row.rows_mode),
    )


def _plan_columns(plan: Plan) -> dict[str, Any]:
    return {
        **rate_columns("requests", plan.requests),
        **rate_columns("rows", plan.rows),
        "rows_per_month": plan.rows_per_month,
        "quota_mode": plan.quota_mode,
        "rows_per_call": plan.rows_per_call,
        "bytes_per_call": plan.bytes_per_call,
        "requests_mode": plan.requests_mode,
        "rows_mode": plan.rows_mode,
    }


def grant_of(row: GrantTable, tenant: str) -> Grant:
    return Grant(tenant, row.model, None if row.api_version == ALL_VERSIONS else row.api_version, row.created_at)


def tenant_of(row: TenantTable) -> Tenant:
    return Tenant(row.id, row.name, row.plan, row.default_model, row.suspended_at, row.created_at)
