"""Calls over a limit, which are counted by key, limit and second: those of the last moments."""

from sqlalchemy import func, select
from sqlmodel import Session

from gatehouse.usage.store import REFUSED

TOO_MANY = 429


def refusals_since(session: Session, tenant_id: str, key_id: str | None, second: int) -> dict[str, dict[str, int]]:
    """Calls of a tenant, or of one of its keys, that were answered 429 from this second (since 1970) on, by what refused them and key."""
    mine = [REFUSED.c.tenant_id == tenant_id, REFUSED.c.second >= second, REFUSED.c.status == TOO_MANY]
    if key_id is not None:
        mine.append(REFUSED.c.key_id == key_id)
    by = (REFUSED.c.limit, REFUSED.c.key_id)
    found: dict[str, dict[str, int]] = {}
    for limit, key, calls in session.execute(select(*by, func.sum(REFUSED.c.calls)).where(*mine).group_by(*by)):
        found.setdefault(limit, {})[key] = int(calls)
    return found
