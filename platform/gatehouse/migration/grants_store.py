"""Which tenants may call an endpoint: whom its announcements go to."""

from typing import NamedTuple

from sqlmodel import Session, col, select

from gatehouse.db.tables import ALL_VERSIONS, GrantTable, NoticeTargetTable, TenantTable
from gatehouse.migration.endpoint import Endpoint


class Granted(NamedTuple):
    """A tenant, by its id and its name."""

    tenant_id: str
    tenant: str


def granted_tenants(session: Session, endpoint: Endpoint, tenant_id: str | None = None) -> list[Granted]:
    """All that hold a grant of it, or of these the one; whether they ever called it or not. By name."""
    covering = [endpoint.api_version] if endpoint.state == "preview" else [endpoint.api_version, ALL_VERSIONS]
    held = (GrantTable.model == endpoint.model, col(GrantTable.api_version).in_(covering))
    query = select(TenantTable.id, TenantTable.name).join(GrantTable).where(*held).distinct().order_by(TenantTable.name)
    if tenant_id is not None:
        query = query.where(TenantTable.id == tenant_id)
    return [Granted(*row) for row in session.exec(query)]


def tenants_with_target(session: Session) -> frozenset[str]:
    """Ids of all that are told by webhook."""
    return frozenset(session.exec(select(NoticeTargetTable.tenant_id)))
