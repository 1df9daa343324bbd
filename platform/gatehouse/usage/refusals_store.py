"""Calls over a limit, which are counted by key, limit and second: those of the last moments."""

from sqlalchemy import func, select
from sqlmodel import Session

from gatehouse.usage.store import REFUSED

TOO_MANY = 429


def refusals_since(session: Session, tenant_id: str, key_id: str | None, second: int) -> dict[str, int]:
    """Calls of a tenant, or of one of its keys, that were answered 429 from this second (since 1970) on, by what refused them."""
    mine = [REFUSED.c.tenant_id == tenant_id, REFUSED.c.second >= second, REFUSED.c.status == TOO_MANY]
    if key_id is not None:
        mine.append(REFUSED.c.key_id == key_id)
    found = session.execute(select(REFUSED.c.limit, func.sum(REFUSED.c.calls)).where(*mine).group_by(REFUSED.c.limit))
    return {limit: int(calls) for limit, calls in found}
