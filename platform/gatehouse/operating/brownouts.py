"""Brownouts of an endpoint planned and taken back: whom they are for, and who is told."""

from dataclasses import dataclass
from datetime import UTC, datetime

from gatehouse.errors import about
from gatehouse.migration.brownout import Wish
from gatehouse.migration.brownout_store import Planned, cancel_brownout, plan_brownout
from gatehouse.operating.desk import Desk
from gatehouse.operating.heralds import herald_of
from gatehouse.operating.life import granted


@dataclass(frozen=True, slots=True)
class BrownoutWish:
    """`starts_at` None is now; `tenant` None is all tenants."""

    starts_at: datetime | None
    minutes: int
    percent: int = 100
    tenant: str | None = None


def plan(desk: Desk, model: str, api_version: str, asked: BrownoutWish, *, force: bool) -> Planned:
    """Plan a window of an endpoint; unless forced, a day before. Raises NotKnown, Refused."""
    with desk.database.write() as session:
        now = datetime.now(UTC).replace(microsecond=0)
        with about("tenant"):
            tenant_id = granted(session, asked.tenant, model, api_version) if asked.tenant else None
        starts_at = now if asked.starts_at is None else asked.starts_at.replace(microsecond=0)
        wish = Wish(starts_at, asked.minutes, asked.percent, tenant_id)
        herald = herald_of(desk.settings, session)
        return plan_brownout(session, desk.actor, herald, model, api_version, wish, now, force=force)


def cancel(desk: Desk, brownout_id: str) -> Planned:
    """Take a window back that is planned or open. Raises Refused."""
    with desk.database.write() as session:
        return cancel_brownout(session, desk.actor, herald_of(desk.settings, session), brownout_id)
