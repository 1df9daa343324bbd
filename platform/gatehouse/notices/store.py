"""What the notices room reads and writes: deliveries under way, their outcomes, and what is known of each notice."""

import secrets
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import exists, func, update
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import Select, SelectOfScalar

from gatehouse.db.clock import database_now
from gatehouse.db.session import Database
from gatehouse.db.tables import NoticeTable, NoticeTargetTable, TenantTable
from gatehouse.notices.schedule import next_attempt

LEASE = timedelta(seconds=60)
"""Longer than any delivery; what a killed process had under way is sent again after it."""
MOST_WORDS = 255
State = Literal["delivered", "given up", "no target", "stopped", "retrying", "waiting"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt that nobody else makes while `lease` holds."""

    notice_id: str
    tenant_id: str
    url: str
    body: str
    secrets_sealed: tuple[bytes, ...]
    lease: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """`said`: one line for the operator."""

    delivered: bool
    said: str
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    id: str
    tenant_id: str
    tenant: str
    kind: str
    event: str
    threshold: str
    state: State
    body: str
    created_at: datetime
    attempts: int
    last_attempt_at: datetime | None
    last_outcome: str | None
    due_at: datetime | None
    delivered_at: datetime | None


@dataclass(frozen=True, slots=True)
class Backlog:
    waiting: int
    """Notices of tenants with a target that are not delivered yet."""
    failing: int
    """Targets."""


class DeliveryStore:
    """What the sender does; all of it by the database's clock."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, most: int) -> list[Delivery]:
        """Deliveries that are due, one for each target, leased to the caller."""
        with self._database.read() as session:  # mostly there are none, which needs no write lock
            if not session.exec(_due_targets(database_now(session)).limit(1)).first():
                return []
        with self._database.write() as session:
            now = database_now(session)
            targets = session.exec(_due_targets(now).limit(most).with_for_update(skip_locked=True)).all()
            return [delivery for target in targets if (delivery := _lease(session, target, now))]

    def settle(self, delivery: Delivery, outcome: Outcome, draw: float) -> datetime | None:
        """Write down how it went; when it is tried again. `draw`: see next_attempt.

        A failure is of no account where the lease has passed to somebody else; a delivery is true in any case.
        """
        with self._database.write() as session:
            target = session.get(NoticeTargetTable, delivery.tenant_id, with_for_update=True)
            notice = session.get(NoticeTable, delivery.notice_id, with_for_update=True)
            holds = target is not None and target.lease == delivery.lease
            if notice is None or not (holds or outcome.delivered):
                return None
            now = database_now(session)
            notice.last_outcome = outcome.said[:MOST_WORDS]
            if outcome.delivered:
                notice.delivered_at, notice.gave_up_at, notice.due_at = now, None, None
            else:
                notice.due_at = next_attempt(notice.started_at or now, now, draw)
                notice.gave_up_at = None if notice.due_at else now
            if target is not None and holds:
                _judge(target, notice, outcome, now)
            return notice.due_at

    def backlog(self) -> Backlog:
        with self._database.read() as session:
            held = exists().where(col(NoticeTargetTable.tenant_id) == col(NoticeTable.tenant_id))
            waiting = select(func.count()).select_from(NoticeTable).where(col(NoticeTable.due_at).is_not(None), held)
            failing = select(func.count()).select_from(NoticeTargetTable).where(col(NoticeTargetTable.failing_since).is_not(None))
            return Backlog(session.exec(waiting).one(), session.exec(failing).one())


def list_notices(session: Session, tenant_id: str | None, most: int, after: tuple[datetime, str] | None = None) -> list[Notice]:
    """The newest first; those behind the one of this moment and id, where it is given."""
    query = _notices().order_by(col(NoticeTable.created_at).desc(), col(NoticeTable.id)).limit(most)
    if tenant_id is not None:
        query = query.where(NoticeTable.tenant_id == tenant_id)
    if after is not None:
        at, last = after
        created_at = col(NoticeTable.created_at)
        query = query.where((created_at < at) | ((created_at == at) & (col(NoticeTable.id) > last)))
    return [_notice(*row) for row in session.exec(query)]


def find_notice(session: Session, notice_id: str) -> Notice | None:
    row = session.exec(_notices().where(NoticeTable.id == notice_id)).first()
    return None if row is None else _notice(*row)


def waiting_by_tenant(session: Session) -> Counter[str]:
    """Notices that are not delivered yet, by tenant id."""
    due = col(NoticeTable.due_at).is_not(None)
    return Counter(dict(session.exec(select(NoticeTable.tenant_id, func.count()).where(due).group_by(NoticeTable.tenant_id)).all()))


def send_again(session: Session, notice_id: str) -> None:
    """Due now, with three days of its own."""
    again = {"due_at": database_now(session), "started_at": None, "delivered_at": None, "gave_up_at": None}
    session.execute(update(NoticeTable).where(col(NoticeTable.id) == notice_id).values(**again))


def _due_targets(now: datetime) -> SelectOfScalar[NoticeTargetTable]:
    target, notice = NoticeTargetTable, NoticeTable
    due = exists().where(col(notice.tenant_id) == col(target.tenant_id), col(notice.due_at) <= now)
    free = col(target.lease_ends_at).is_(None) | (col(target.lease_ends_at) <= now)
    return select(target).where(~col(target.gone), free, due).order_by(col(target.lease_ends_at), col(target.tenant_id))


def _lease(session: Session, target: NoticeTargetTable, now: datetime) -> Delivery | None:
    mine = (NoticeTable.tenant_id == target.tenant_id, col(NoticeTable.due_at) <= now)
    notice = session.exec(select(NoticeTable).where(*mine).order_by(col(NoticeTable.due_at), col(NoticeTable.id))).first()
    if notice is None:
        return None
    target.lease, target.lease_ends_at = secrets.token_hex(16), now + LEASE
    notice.started_at, notice.last_attempt_at = notice.started_at or now, now
    notice.attempts += 1
    sealed: tuple[bytes, ...] = (target.secret_sealed,)
    if target.previous_sealed and target.previous_until and target.previous_until > now:
        sealed += (target.previous_sealed,)
    return Delivery(notice.id, target.tenant_id, target.url, notice.body, sealed, target.lease, now)


def _judge(target: NoticeTargetTable, notice: NoticeTable, outcome: Outcome, now: datetime) -> None:
    """Give the lease back, and say how it is with the target."""
    target.lease = target.lease_ends_at = None
    target.gone = outcome.gone
    if outcome.delivered:
        target.failing_since = target.failing_reason = None
    elif outcome.gone or notice.gave_up_at:
        target.failing_since = target.failing_since or now
        target.failing_reason = outcome.said[:MOST_WORDS]


def _notices() -> Select[NoticeTable, str, bool]:
    query = select(NoticeTable, TenantTable.name, NoticeTargetTable.gone)
    query = query.join(TenantTable, col(TenantTable.id) == col(NoticeTable.tenant_id))
    return query.join(NoticeTargetTable, col(NoticeTargetTable.tenant_id) == col(NoticeTable.tenant_id), isouter=True)


def _notice(row: NoticeTable, tenant: str, gone: bool | None) -> Notice:
    return Notice(
        row.id,
        row.tenant_id,
        tenant,
        row.kind,
        row.event,
        row.threshold,
        _state(row, gone),
        row.body,
        row.created_at,
        row.attempts,
        row.last_attempt_at,
        row.last_outcome,
        row.due_at,
        row.delivered_at,
    )


def _state(row: NoticeTable, gone: bool | None) -> State:
    if row.delivered_at or row.gave_up_at:
        return "delivered" if row.delivered_at else "given up"
    if gone is None:
        return "no target"
    if gone:
        return "stopped"
    return "retrying" if row.started_at else "waiting"
