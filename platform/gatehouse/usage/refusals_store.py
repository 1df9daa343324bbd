"""Calls that were refused and counted, by key, what refused them and second: those of late."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import case, func, select
from sqlmodel import Session

from gatehouse.usage.store import REFUSED

UNAUTHORIZED = 401
TOO_MANY = 429


@dataclass(frozen=True, slots=True)
class Refusal:
    """Calls of one key that one thing refused: a limit by its name, or what the log gives as the reason."""

    status: int
    by: str
    key_id: str
    calls: int
    just_now: int
    """Of these, in the last moments."""
    last_at: datetime


def refusals_since(session: Session, tenant_id: str, key_id: str | None, since: datetime, just_now: datetime) -> list[Refusal]:
    """Of a tenant, or of one of its keys, the newest first."""
    mine = [REFUSED.c.tenant_id == tenant_id, REFUSED.c.second >= int(since.timestamp())]
    if key_id is not None:
        mine.append(REFUSED.c.key_id == key_id)
    by, last = (REFUSED.c.status, REFUSED.c.limit, REFUSED.c.key_id), func.max(REFUSED.c.second)
    of_now = func.sum(case((REFUSED.c.second >= int(just_now.timestamp()), REFUSED.c.calls), else_=0))
    found = session.execute(select(*by, func.sum(REFUSED.c.calls), of_now, last).where(*mine).group_by(*by).order_by(last.desc(), *by))
    return [
        Refusal(status, what, key, int(calls), int(now), datetime.fromtimestamp(second, UTC))
        for status, what, key, calls, now, second in found
    ]
