"""What tenants have been told of one endpoint by notices: read by each announcement before it tells anything, and by reports."""

from collections.abc import Collection
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, func
from sqlmodel import Session, col, select

from gatehouse.db.tables import NoticeTable

KINDS = "endpoint."
"""What the kind of every notice of an endpoint begins with; its event begins with the endpoint's name and a blank."""


class Told(NamedTuple):
    """A notice that was made, whether it has arrived or not."""

    tenant_id: str
    kind: str
    threshold: str
    at: datetime


def last_told(session: Session, tenant_ids: Collection[str], model: str, api_version: str) -> dict[str, datetime]:
    """When each tenant last got a notice of this endpoint; without those who never got one."""
    arrived = (col(NoticeTable.tenant_id).in_(tenant_ids), col(NoticeTable.delivered_at).is_not(None))
    latest = select(NoticeTable.tenant_id, func.max(col(NoticeTable.delivered_at)))
    found = session.exec(latest.where(*arrived, *_begins(f"{model}/{api_version} ")).group_by(NoticeTable.tenant_id))
    return {tenant_id: at for tenant_id, at in found if at is not None}


def told_of_end(session: Session, name: str, last_day: date) -> list[Told]:
    """All notices, to whomever, that this endpoint ends on this day."""
    columns = (NoticeTable.tenant_id, NoticeTable.kind, NoticeTable.threshold, NoticeTable.created_at)
    return [Told(*row) for row in session.exec(select(*columns).where(*_begins(end_of(name, last_day))))]


def end_of(name: str, last_day: date) -> str:
    """How the event of each notice begins that tells of this end."""
    return f"{name} until {last_day}"


def _begins(event: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return col(NoticeTable.kind).startswith(KINDS, autoescape=True), col(NoticeTable.event).startswith(event, autoescape=True)
