"""Pages of tenants, plans, keys and grants: each begins behind the last item of the one before, so the last costs what the first does."""

from sqlmodel import Session, col, select

from gatehouse.db.tables import PlanTable
from gatehouse.identity.store import plan_of
from gatehouse.principal import Plan


def page_of_plans(session: Session, after: str | None, most: int) -> list[Plan]:
    """Plans by name."""
    query = select(PlanTable).order_by(col(PlanTable.name)).limit(most)
    if after is not None:
        query = query.where(col(PlanTable.name) > after)
    return [plan_of(row) for row in session.exec(query)]
