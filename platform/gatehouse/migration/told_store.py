"""What tenants have been told of one endpoint by notices: read by each announcement before it tells anything, and by reports.

Notices stay for good, so each tenant's are looked up by tenant and kind, and nobody else's are gone through.
"""

from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, func
from sqlmodel import Session, col, select

from gatehouse.db.tables import GrantTable, NoticeTable, TenantTable
from gatehouse.migration.notice_kinds import ALL_KINDS


class Told(NamedTuple):
    """A notice that was made, whether it has arrived or not."""

    tenant_id: str
    kind: str
    threshold: str
    at: datetime


def last_told(session: Session, model: str, api_version: str, tenant_id: str | None = None) -> dict[str, datetime]:
    """When each tenant, or one, last got a notice of this endpoint; without those who never got one."""
    owner = col(NoticeTable.tenant_id)
    whose = owner.in_(select(TenantTable.id)) if tenant_id is None else owner == tenant_id
    arrived = (whose, *_begins(f"{model}/{api_version} "), col(NoticeTable.delivered_at).is_not(None))
    found = session.exec(select(owner, func.max(col(NoticeTable.delivered_at))).where(*arrived).group_by(owner))
    return {tenant: at for tenant, at in found if at is not None}


def told_of_end(session: Session, model: str, api_version: str, last_day: date) -> list[Told]:
    """All notices, to whoever holds a grant of the model, that this endpoint ends on this day."""
    columns = (NoticeTable.tenant_id, NoticeTable.kind, NoticeTable.threshold, NoticeTable.created_at)
    granted = col(NoticeTable.tenant_id).in_(select(GrantTable.tenant_id).where(GrantTable.model == model))
    return [Told(*row) for row in session.exec(select(*columns).where(granted, *_begins(end_of(f"{model}/{api_version}", last_day))))]


def end_of(name: str, last_day: date) -> str:
    """How the event of each notice begins that tells of this end."""
    return f"{name} until {last_day}"


def _begins(event: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """The event of each notice of an endpoint begins with the endpoint's name and a blank."""
    return col(NoticeTable.kind).in_(ALL_KINDS), col(NoticeTable.event).startswith(event, autoescape=True)
