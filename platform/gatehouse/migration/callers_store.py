"""Who may call a model: tenants with their grants of it and their keys."""

from datetime import datetime

from sqlmodel import Session, col, select

from gatehouse.db.tables import ApiKeyTable, GrantTable, TenantTable
from gatehouse.migration.report import Caller, CallerKey


def callers_of(session: Session, model: str, now: datetime, tenant_id: str | None = None) -> list[Caller]:
    """All tenants by name, or one; also those without a grant, who may have called before it was taken."""
    query = select(TenantTable).order_by(col(TenantTable.name))
    if tenant_id is not None:
        query = query.where(TenantTable.id == tenant_id)
    grants, keys = _grants(session, model, tenant_id), _keys(session, now, tenant_id)
    return [
        Caller(row.id, row.name, row.suspended_at, frozenset(grants.get(row.id, ())), tuple(keys.get(row.id, ())))
        for row in session.exec(query)
    ]


def _grants(session: Session, model: str, tenant_id: str | None) -> dict[str, list[str]]:
    query = select(GrantTable.tenant_id, GrantTable.api_version).where(GrantTable.model == model)
    if tenant_id is not None:
        query = query.where(GrantTable.tenant_id == tenant_id)
    found: dict[str, list[str]] = {}
    for owner, api_version in session.exec(query):
        found.setdefault(owner, []).append(api_version)
    return found


def _keys(session: Session, now: datetime, tenant_id: str | None) -> dict[str, list[CallerKey]]:
    """Oldest first."""
    query = select(ApiKeyTable).order_by(col(ApiKeyTable.created_at), col(ApiKeyTable.id))
    if tenant_id is not None:
        query = query.where(ApiKeyTable.tenant_id == tenant_id)
    found: dict[str, list[CallerKey]] = {}
    for row in session.exec(query):
        found.setdefault(row.tenant_id, []).append(CallerKey(row.id, row.name, _ended(row.revoked_at, row.expires_at, now)))
    return found


def _ended(revoked_at: datetime | None, expires_at: datetime | None, now: datetime) -> str | None:
    if revoked_at is not None:
        return f"revoked on {revoked_at:%Y-%m-%d}"
    return f"expired on {expires_at:%Y-%m-%d}" if expires_at is not None and expires_at <= now else None
