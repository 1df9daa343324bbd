"""What the notices room reads and writes of targets."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, insert, update
from sqlmodel import Session, col, select

from gatehouse.db.clock import database_now
from gatehouse.db.tables import NoticeTable, NoticeTargetTable, TenantTable
from gatehouse.notices.schedule import TRIED_FOR


@dataclass(frozen=True, slots=True)
class Target:
    tenant_id: str
    tenant: str
    url: str
    secret_sealed: bytes
    previous_sealed: bytes | None
    previous_until: datetime | None
    created_at: datetime
    failing_since: datetime | None
    failing_reason: str | None
    gone: bool


def list_targets(session: Session) -> list[Target]:
    """All targets, by tenant."""
    query = select(NoticeTargetTable, TenantTable.name).join(TenantTable, col(TenantTable.id) == col(NoticeTargetTable.tenant_id))
    return [_target(row, tenant) for row, tenant in session.exec(query.order_by(col(TenantTable.name)))]


def find_target(session: Session, tenant_id: str) -> Target | None:
    return next((target for target in list_targets(session) if target.tenant_id == tenant_id), None)


def add_target(session: Session, tenant_id: str, url: str, secret_sealed: bytes, now: datetime) -> None:
    row = {"tenant_id": tenant_id, "url": url, "secret_sealed": secret_sealed, "created_at": now, "gone": False}
    session.execute(insert(NoticeTargetTable).values(row))


def change_target(session: Session, tenant_id: str, columns: Mapping[str, Any]) -> None:
    session.execute(update(NoticeTargetTable).where(col(NoticeTargetTable.tenant_id) == tenant_id).values(**columns))


def remove_target(session: Session, tenant_id: str) -> None:
    session.execute(delete(NoticeTargetTable).where(col(NoticeTargetTable.tenant_id) == tenant_id))


def give_up_stale(session: Session, tenant_id: str) -> None:
    """Nothing that waited for longer than three days is sent to a target that comes now."""
    now = database_now(session)
    stale = func.coalesce(NoticeTable.started_at, NoticeTable.due_at) < now - TRIED_FOR
    mine = (col(NoticeTable.tenant_id) == tenant_id, col(NoticeTable.due_at).is_not(None), stale)
    session.execute(update(NoticeTable).where(*mine).values(due_at=None, gave_up_at=now))


def _target(row: NoticeTargetTable, tenant: str) -> Target:
    return Target(
        row.tenant_id,
        tenant,
        row.url,
        row.secret_sealed,
        row.previous_sealed,
        row.previous_until,
        row.created_at,
        row.failing_since,
        row.failing_reason,
        row.gone,
    )
