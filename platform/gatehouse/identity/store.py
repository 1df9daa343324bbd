"""Everything that the identity room reads from and writes to the database."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, cast

from sqlalchemy import delete, insert, update
from sqlmodel import Session, col, select

from gatehouse.db.tables import ApiKeyTable, GrantTable, PlanTable, TenantTable, TokenKeyTable
from gatehouse.principal import OPERATOR_TENANT, TENANT_SCOPES, Plan, Principal, QuotaMode, Rate, Scope

ALL_VERSIONS = "*"
"""Stands in a grant for every API version."""


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


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What may be shown of a key."""

    id: str
    tenant: str
    name: str
    scopes: frozenset[Scope]
    requests: Rate | None
    rows: Rate | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoredKey:
    """What a call is checked against."""

    digest: bytes
    pepper_version: int
    expires_at: datetime | None
    revoked_at: datetime | None
    tenant_suspended: bool
    principal: Principal


@dataclass(frozen=True, slots=True)
class TokenKey:
    kid: str
    public_pem: str
    private_sealed: bytes
    created_at: datetime
    retired_at: datetime | None


def find_key(session: Session, key_id: str) -> StoredKey | None:
    """A key with its tenant, plan and grants, in two queries; also an expired or revoked one, which the caller refuses."""
    query = (
        select(ApiKeyTable, TenantTable, PlanTable)
        .join(TenantTable, col(TenantTable.id) == col(ApiKeyTable.tenant_id))
        .join(PlanTable, col(PlanTable.name) == col(TenantTable.plan))
        .where(ApiKeyTable.id == key_id)
    )
    found = session.exec(query).one_or_none()
    if found is None:
        return None
    key, tenant, plan = found
    grants = session.exec(select(GrantTable.model, GrantTable.api_version).where(GrantTable.tenant_id == tenant.id))
    principal = Principal(
        tenant_id=tenant.id,
        tenant=tenant.name,
        key_id=key.id,
        scopes=_scopes(key.scopes) & scopes_of_tenant(tenant.name),
        plan=_plan(plan),
        key_requests=_rate(key, "requests"),
        key_rows=_rate(key, "rows"),
        default_model=tenant.default_model,
        grants=_by_model(grants),
    )
    return StoredKey(key.digest, key.pepper_version, key.expires_at, key.revoked_at, tenant.suspended_at is not None, principal)


def scopes_of_tenant(name: str) -> frozenset[Scope]:
    """The widest scopes that a key of this tenant can have."""
    return frozenset(Scope) if name == OPERATOR_TENANT else TENANT_SCOPES


def list_plans(session: Session) -> list[Plan]:
    """All plans by name."""
    return [_plan(row) for row in session.exec(select(PlanTable).order_by(col(PlanTable.name)))]


def find_plan(session: Session, name: str) -> Plan | None:
    row = session.get(PlanTable, name)
    return None if row is None else _plan(row)


def add_plan(session: Session, plan: Plan) -> None:
    session.execute(insert(PlanTable).values(name=plan.name, created_at=datetime.now(UTC), **_plan_columns(plan)))


def change_plan(session: Session, plan: Plan) -> None:
    """Give the plan of this name these limits."""
    session.execute(update(PlanTable).where(col(PlanTable.name) == plan.name).values(**_plan_columns(plan)))


def list_tenants(session: Session) -> list[Tenant]:
    """All tenants by name."""
    return [_tenant(row) for row in session.exec(select(TenantTable).order_by(col(TenantTable.name)))]


def find_tenant(session: Session, name: str) -> Tenant | None:
    row = session.exec(select(TenantTable).where(TenantTable.name == name)).one_or_none()
    return None if row is None else _tenant(row)


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
    return [
        Grant(name, row.model, None if row.api_version == ALL_VERSIONS else row.api_version, row.created_at)
        for row, name in session.exec(query)
    ]


def add_grant(session: Session, tenant: Tenant, model: str, api_version: str | None) -> None:
    values = {"tenant_id": tenant.id, "model": model, "api_version": api_version or ALL_VERSIONS}
    session.execute(insert(GrantTable).values(**values, created_at=datetime.now(UTC)))


def remove_grants(session: Session, tenant: Tenant, model: str, api_version: str | None = None) -> None:
    """Take away one API version of a model, or the whole model."""
    statement = delete(GrantTable).where(col(GrantTable.tenant_id) == tenant.id, col(GrantTable.model) == model)
    if api_version is not None:
        statement = statement.where(col(GrantTable.api_version) == api_version)
    session.execute(statement)


def list_keys(session: Session, tenant: Tenant | None = None) -> list[ApiKey]:
    """Keys of one tenant or all, oldest first."""
    order = (col(TenantTable.name), col(ApiKeyTable.created_at), col(ApiKeyTable.id))
    query = select(ApiKeyTable, TenantTable.name).join(TenantTable, col(TenantTable.id) == col(ApiKeyTable.tenant_id)).order_by(*order)
    if tenant is not None:
        query = query.where(ApiKeyTable.tenant_id == tenant.id)
    return [_api_key(row, name) for row, name in session.exec(query)]


def show_key(session: Session, key_id: str) -> ApiKey | None:
    query = (
        select(ApiKeyTable, TenantTable.name)
        .join(TenantTable, col(TenantTable.id) == col(ApiKeyTable.tenant_id))
        .where(ApiKeyTable.id == key_id)
    )
    found = session.exec(query).one_or_none()
    return None if found is None else _api_key(*found)


def add_key(session: Session, key: ApiKey, tenant: Tenant, digest: bytes, pepper_version: int) -> None:
    row = {"id": key.id, "tenant_id": tenant.id, "name": key.name, "scopes": " ".join(sorted(key.scopes))}
    session.execute(
        insert(ApiKeyTable).values(
            **row,
            **_rate_columns("requests", key.requests),
            **_rate_columns("rows", key.rows),
            digest=digest,
            pepper_version=pepper_version,
            created_at=key.created_at,
            expires_at=key.expires_at,
        )
    )


def mark_key_revoked(session: Session, key: ApiKey) -> None:
    """Write the key's `revoked_at`."""
    session.execute(update(ApiKeyTable).where(col(ApiKeyTable.id) == key.id).values(revoked_at=key.revoked_at))


def add_token_key(session: Session, kid: str, public_pem: str, private_sealed: bytes) -> None:
    values = {"kid": kid, "public_pem": public_pem, "private_sealed": private_sealed}
    session.execute(insert(TokenKeyTable).values(**values, created_at=datetime.now(UTC)))


def list_token_keys(session: Session) -> list[TokenKey]:
    """All token keys, oldest first."""
    rows = session.exec(select(TokenKeyTable).order_by(col(TokenKeyTable.created_at), col(TokenKeyTable.kid)))
    return [TokenKey(row.kid, row.public_pem, row.private_sealed, row.created_at, row.retired_at) for row in rows]


def _scopes(text: str) -> frozenset[Scope]:
    # a scope that this version does not know gives nothing
    return frozenset(scope for scope in Scope if scope in text.split())


def _by_model(grants: Iterable[tuple[str, str]]) -> Mapping[str, frozenset[str] | None]:
    versions: dict[str, set[str]] = {}
    for model, api_version in grants:
        versions.setdefault(model, set()).add(api_version)
    return MappingProxyType({model: None if ALL_VERSIONS in named else frozenset(named) for model, named in versions.items()})


def _rate(row: ApiKeyTable, kind: str) -> Rate | None:
    count, period_s, burst = (getattr(row, f"{kind}_{part}") for part in ("count", "period_s", "burst"))
    return None if count is None else Rate(count, period_s, burst)


def _rate_columns(kind: str, rate: Rate | None) -> dict[str, int | None]:
    if rate is None:
        return {f"{kind}_count": None, f"{kind}_period_s": None, f"{kind}_burst": None}
    return {f"{kind}_count": rate.count, f"{kind}_period_s": rate.period_s, f"{kind}_burst": rate.burst}


def _plan(row: PlanTable) -> Plan:
    return Plan(
        name=row.name,
        requests=Rate(row.requests_count, row.requests_period_s, row.requests_burst),
        rows=Rate(row.rows_count, row.rows_period_s, row.rows_burst),
        rows_per_month=row.rows_per_month,
        quota_mode=cast(QuotaMode, row.quota_mode),
        rows_per_call=row.rows_per_call,
        bytes_per_call=row.bytes_per_call,
    )


def _plan_columns(plan: Plan) -> dict[str, Any]:
    return {
        **_rate_columns("requests", plan.requests),
        **_rate_columns("rows", plan.rows),
        "rows_per_month": plan.rows_per_month,
        "quota_mode": plan.quota_mode,
        "rows_per_call": plan.rows_per_call,
        "bytes_per_call": plan.bytes_per_call,
    }


def _tenant(row: TenantTable) -> Tenant:
    return Tenant(row.id, row.name, row.plan, row.default_model, row.suspended_at, row.created_at)


def _api_key(row: ApiKeyTable, tenant: str) -> ApiKey:
    rates = (_rate(row, "requests"), _rate(row, "rows"))
    return ApiKey(row.id, tenant, row.name, _scopes(row.scopes), *rates, row.created_at, row.expires_at, row.revoked_at)
