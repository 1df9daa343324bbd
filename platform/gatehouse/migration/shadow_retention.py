"""How long sums of shadows are kept: until a tenant's events are erased."""

from datetime import date

from sqlalchemy import delete
from sqlmodel import Session

from gatehouse.migration.shadow_tables import ALL, day_number


def remove_shadows(session: Session, tenant_id: str, before: date) -> None:
    """Take away what is kept of a tenant's shadows of the days before `before` (UTC)."""
    for table in ALL:
        session.execute(delete(table).where(table.c.tenant_id == tenant_id, table.c.day < day_number(before)))
