"""What is taken away on request is taken away whole, in batches that others need not wait for."""

from datetime import UTC, datetime

import pytest
from sqlmodel import select
from stage import ACTOR, Stage

from gatehouse.db.tables import ShadowDayTable
from gatehouse.identity.tenants import named_tenant
from gatehouse.operating import erasing
from gatehouse.operating.desk import Desk
from gatehouse.usage.figures_store import day_number

NOTHING = dict.fromkeys(("calls", "dropped", "failed", "rows", "not_upgraded", "disagreed", "shift_sum"), 0)


def test_all_shadows_of_a_tenant_go_with_its_events_and_nobody_elses(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasing, "BATCH", 2)
    first_of_month = datetime.now(UTC).date().replace(day=1)
    for name in ("acme", "beta"):
        stage.tenant(name, "iris")
    before = day_number(first_of_month)
    with stage.database.write() as session:
        acme, beta = (named_tenant(session, name).id for name in ("acme", "beta"))
        for tenant, day in [*((acme, before - 1 - n) for n in range(5)), (acme, before), (beta, before - 1)]:
            session.add(ShadowDayTable(tenant_id=tenant, model="iris", api_version="v1", other_version="2.0.0", day=day, **NOTHING))
    desk = Desk(settings=stage.settings, database=stage.database, actor=ACTOR)
    assert erasing.erase_usage(desk, "acme", first_of_month, lambda _done, _found: None) == (0, 0)
    with stage.database.read() as session:
        left = session.exec(select(ShadowDayTable.tenant_id, ShadowDayTable.day)).all()
    assert sorted(left) == sorted([(acme, before), (beta, before - 1)])
