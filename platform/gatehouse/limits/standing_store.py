"""What the database knows of the months of tenants, which warnings were given, and what observed limits would have refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Table, func, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select

from gatehouse.db.audit import Actor, record_audit
from gatehouse.db.outbox import announce
from gatehouse.db.session import Database
from gatehouse.db.tables import ObservedRefusalTable, QuotaBlockTable, QuotaTable, UsageSummaryTable
from gatehouse.limits.month import Month

METER = Actor("gatehouse", "quota")


@dataclass(frozen=True, slots=True)
class ObservedRefusal:
    """What one limit would have refused of one tenant in a month."""

    name: str
    calls: int
    rows: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class MonthStanding:
    """A tenant's month. What is held ahead is not metered yet: to be used, to be given back, or on its way into the database."""

    metered: int
    held: int
    holders: int
    """Processes that hold a block."""
    warned_percent: int


class StandingStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    def standings(self, tenant_ids: Sequence[str], month: Month) -> dict[str, tuple[int, int]]:
        """Of each tenant the metered rows of the month, and the share of its quota (percent) that was warned of."""
        hours = [int(moment.timestamp()) // 3600 for moment in (month.start, month.end)]
        within = (
            col(UsageSummaryTable.tenant_id).in_(tenant_ids),
            col(UsageSummaryTable.hour) >= hours[0],
            col(UsageSummaryTable.hour) < hours[1],
        )
        rows = select(UsageSummaryTable.tenant_id, func.sum(UsageSummaryTable.rows)).where(*within).group_by(UsageSummaryTable.tenant_id)
        shares = select(QuotaTable.tenant_id, QuotaTable.warned_percent).where(
            col(QuotaTable.tenant_id).in_(tenant_ids), QuotaTable.month == month.name
        )
        with self._database.read() as session:
            metered, warned = dict(session.exec(rows).all()), dict(session.exec(shares).all())
        return {tenant_id: (int(metered.get(tenant_id, 0)), warned.get(tenant_id, 0)) for tenant_id in tenant_ids}

    def month_standing(self, tenant_id: str, month: Month) -> MonthStanding:
        """All that is known of the month of one tenant."""
        metered, warned = self.standings([tenant_id], month)[tenant_id]
        mine = (QuotaTable.tenant_id == tenant_id, QuotaTable.month == month.name)
        held = (QuotaBlockTable.tenant_id == tenant_id, QuotaBlockTable.month == month.name)
        with self._database.read() as session:
            taken = session.exec(select(QuotaTable.taken).where(*mine)).first() or 0
            holders = session.exec(select(func.count()).select_from(QuotaBlockTable).where(*held)).one()
        return MonthStanding(metered, max(0, taken - metered), holders, warned)

    def note_share(self, tenant_id: str, tenant: str, month: Month, percent: int, detail: Mapping[str, Any]) -> bool:
        """Remember the share that is reached; a higher one than before is an event. Whether it is, and no other process was first.

        A lower one comes of a larger quota: its shares are warned of anew.
        """
        with self._database.write() as session:
            key = {"tenant_id": tenant_id, "month": month.name}
            session.execute(self._insert(session, QuotaTable).values(**key, taken=0, warned_percent=0).on_conflict_do_nothing())
            mine = (col(QuotaTable.tenant_id) == tenant_id, col(QuotaTable.month) == month.name)
            before = session.exec(select(QuotaTable.warned_percent).where(*mine).with_for_update()).one()
            session.execute(update(QuotaTable).where(*mine).values(warned_percent=percent))
            if percent > before:
                said = {"month": month.name, **detail}
                record_audit(session, METER, "quota.reached", tenant, said)
                event = f"{month.name} of {detail['rows_per_month']}"  # another quota is another event
                announce(session, tenant_id, "quota.reached", event, str(percent), {"tenant": tenant, **said})
            return percent > before

    def add_observed(self, counts: Mapping[tuple[str, str, str], tuple[int, int]], at: datetime) -> None:
        """Add calls and rows by tenant id, month and limit."""
        with self._database.write() as session:
            insert = self._insert(session, ObservedRefusalTable)
            table: Table = ObservedRefusalTable.__table__  # type: ignore[attr-defined]
            sums = {name: table.c[name] + insert.excluded[name] for name in ("calls", "rows")}
            insert = insert.on_conflict_do_update(index_elements=list(table.primary_key), set_={**sums, "last_at": insert.excluded.last_at})
            values = [
                {"tenant_id": tenant_id, "month": month, "name": name, "calls": calls, "rows": rows, "last_at": at}
                for (tenant_id, month, name), (calls, rows) in sorted(counts.items())  # in one order, so that nobody waits in a circle
            ]
            session.execute(insert, values)

    def observed(self, tenant_id: str, month: Month) -> list[ObservedRefusal]:
        """By limit."""
        table = ObservedRefusalTable
        query = select(table).where(table.tenant_id == tenant_id, table.month == month.name).order_by(col(table.name))
        with self._database.read() as session:
            return [ObservedRefusal(row.name, row.calls, row.rows, row.last_at) for row in session.exec(query)]

    def _insert(self, session: Session, of: type) -> Any:
        dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
        return dialect.insert(of.__table__)  # type: ignore[attr-defined]
