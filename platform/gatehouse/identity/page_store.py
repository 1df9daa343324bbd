"""Pages of tenants, plans, keys and grants: each begins behind the last item of the one before, so the last costs what the first does."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, and_, or_
from sqlalchemy import select as sqlalchemy_select
from sqlmodel import Session, col, select

from gatehouse.db.tables import ALL_VERSIONS, ApiKeyTable, GrantTable, PlanTable, TenantTable
from gatehouse.identity.key_store import ApiKey, api_key_of, needs_pepper, shown_keys
from gatehouse.identity.store import Grant, Tenant, grant_of, plan_of, tenant_of
from gatehouse.principal import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantFilter:
    """None is any. `model` is one that they are granted, in any API version."""

    plan: str | None = None
    suspended: bool | None = None
    name_prefix: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFilter:
    """None is any. `tenant` is an id or a name, `pepper` a version without which they stop."""

    tenant: str | None = None
    revoked: bool | None = None
    expires_before: datetime | None = None
    name_prefix: str | None = None
    pepper: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantFilter:
    """None is any. `tenant` is an id or a name."""

    tenant: str | None = None
    model: str | None = None


def page_of_plans(session: Session, after: str | None, most: int) -> list[Plan]:
    """Plans by name."""
    query = select(PlanTable).order_by(col(PlanTable.name)).limit(most)
    if after is not None:
        query = query.where(col(PlanTable.name) > after)
    return [plan_of(row) for row in session.exec(query)]


def page_of_tenants(session: Session, narrowed: TenantFilter, after: str | None, most: int) -> list[Tenant]:
    """Tenants by name."""
    name, suspended = col(TenantTable.name), col(TenantTable.suspended_at)
    query = select(TenantTable).order_by(name).limit(most)
    if after is not None:
        query = query.where(name > after)
    if narrowed.plan is not None:
        query = query.where(TenantTable.plan == narrowed.plan)
    if narrowed.suspended is not None:
        query = query.where(suspended.is_not(None) if narrowed.suspended else suspended.is_(None))
    if narrowed.name_prefix is not None:
        query = query.where(name.startswith(narrowed.name_prefix, autoescape=True))
    if narrowed.model is not None:
        granted = sqlalchemy_select(col(GrantTable.tenant_id)).where(col(GrantTable.model) == narrowed.model)
        query = query.where(col(TenantTable.id).in_(granted))
    return [tenant_of(row) for row in session.exec(query)]


def grants_of_tenants(session: Session, tenants: Iterable[Tenant]) -> Mapping[str, list[Grant]]:
    """The grants of each, by its id, in the order of models and API versions."""
    names = {tenant.id: tenant.name for tenant in tenants}
    order = (col(GrantTable.model), col(GrantTable.api_version))
    found: dict[str, list[Grant]] = {tenant_id: [] for tenant_id in names}
    for row in session.exec(select(GrantTable).where(col(GrantTable.tenant_id).in_(names)).order_by(*order)):
        found[row.tenant_id].append(grant_of(row, names[row.tenant_id]))
    return found


def page_of_keys(session: Session, narrowed: KeyFilter, after: tuple[datetime, str] | None, most: int) -> list[ApiKey]:
    """Keys, the newest first."""
    made, key_id, revoked = col(ApiKeyTable.created_at), col(ApiKeyTable.id), col(ApiKeyTable.revoked_at)
    query = shown_keys().order_by(made.desc(), key_id).limit(most)
    if after is not None:
        query = query.where(made <= after[0], or_(made < after[0], key_id > after[1]))
    if narrowed.tenant is not None:
        query = query.where(col(ApiKeyTable.tenant_id).in_(_tenant_ids(narrowed.tenant)))
    if narrowed.revoked is not None:
        query = query.where(revoked.is_not(None) if narrowed.revoked else revoked.is_(None))
    if narrowed.expires_before is not None:
        query = query.where(col(ApiKeyTable.expires_at) < narrowed.expires_before)
    if narrowed.name_prefix is not None:
        query = query.where(col(ApiKeyTable.name).startswith(narrowed.name_prefix, autoescape=True))
    if narrowed.pepper is not None:
        query = query.where(needs_pepper(narrowed.pepper))
    return [api_key_of(row, tenant) for row, tenant in session.execute(query)]


def page_of_grants(session: Session, narrowed: GrantFilter, after: tuple[str, str, str] | None, most: int) -> list[tuple[str, Grant]]:
    """Grants with their tenants' ids, by tenant's name, model and API version."""
    name, model, api_version = col(TenantTable.name), col(GrantTable.model), col(GrantTable.api_version)
    query = sqlalchemy_select(GrantTable, name).join(TenantTable, col(TenantTable.id) == col(GrantTable.tenant_id))
    query = query.order_by(name, model, api_version).limit(most)
    if after is not None:
        query = query.where(name >= after[0], or_(name > after[0], model > after[1], and_(model == after[1], api_version > after[2])))
    if narrowed.tenant is not None:
        query = query.where(col(GrantTable.tenant_id).in_(_tenant_ids(narrowed.tenant)))
    if narrowed.model is not None:
        query = query.where(model == narrowed.model)
    return [(row.tenant_id, grant_of(row, tenant)) for row, tenant in session.execute(query)]


def stored_version(grant: Grant) -> str:
    """The last step of a grant's place in its list."""
    return grant.api_version or ALL_VERSIONS


def _tenant_ids(reference: str) -> Select[str]:
    return sqlalchemy_select(col(TenantTable.id)).where(or_(col(TenantTable.id) == reference, col(TenantTable.name) == reference))
