"""Plans on both databases: limits that can be kept, changes that are numbered and audited."""

import json
from dataclasses import replace

import pytest
from sqlmodel import col, select

from gatehouse.db.audit import Actor
from gatehouse.db.revision import Change, changes_since
from gatehouse.db.session import Database
from gatehouse.db.tables import AuditTable
from gatehouse.errors import NotKnown, Refused
from gatehouse.identity import plans
from gatehouse.principal import Plan, Rate

ALICE = Actor("os-user:alice", "cli")
GOLD = Plan("gold", Rate(100, 1, 400), Rate(5_000, 1, 20_000), 3_000_000_000, "soft", 20_000, 8 * 1024 * 1024)


def test_a_plan_is_stored_as_it_was_given(database: Database) -> None:
    plans.create_plan(database, ALICE, GOLD)
    assert [plan.name for plan in plans.list_plans(database)] == ["gold", "standard", "trial"]
    assert plans.list_plans(database)[0] == GOLD
    with database.read() as session:
        assert changes_since(session, 0) == [Change(1, "plan", "gold")]
        [row] = session.exec(select(AuditTable)).all()
    assert (row.actor, row.action, row.subject, json.loads(row.detail)["after"]["rows_per_month"]) == (
        "os-user:alice",
        "plan.create",
        "gold",
        3_000_000_000,
    )


def test_an_edit_changes_what_it_names_and_nothing_twice(database: Database) -> None:
    plans.create_plan(database, ALICE, GOLD)
    for _ in range(2):
        assert plans.edit_plan(database, ALICE, "gold", lambda plan: replace(plan, quota_mode="hard")).quota_mode == "hard"
    assert plans.list_plans(database)[0] == replace(GOLD, quota_mode="hard")
    with database.read() as session:
        assert [change.revision for change in changes_since(session, 0)] == [1, 2]
        rows = session.exec(select(AuditTable.action).order_by(col(AuditTable.id))).all()
    assert rows == ["plan.create", "plan.edit"]


def test_unknown_and_doubled_plans_are_refused(database: Database) -> None:
    plans.create_plan(database, ALICE, GOLD)
    with pytest.raises(Refused, match="there is a plan 'gold' already"):
        plans.create_plan(database, ALICE, GOLD)
    with pytest.raises(NotKnown, match="no plan 'golds'; known plans: gold, standard, trial; did you mean gold"):
        plans.edit_plan(database, ALICE, "golds", lambda plan: plan)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"requests": Rate(-1, 1, 1)}, "count and burst of requests"),
        ({"requests": Rate(1, 0, 1)}, "count and burst of requests"),
        ({"rows": Rate(20_000, 1, -1)}, "count and burst of rows"),
        ({"rows": Rate(1_000_001, 1, 20_000)}, "at most 1000000 a second"),
        ({"rows": Rate(2**31, 3600, 20_000)}, "count and burst of rows"),
        ({"rows_per_month": 0}, "rows a month"),
        ({"rows_per_month": 2**63}, "rows a month"),
        ({"rows_per_call": 0}, "rows a call"),
        ({"bytes_per_call": 2**31}, "bytes a call"),
        ({"quota_mode": "firm"}, "the quota is hard or soft, not 'firm'"),
        ({"rows_per_call": 20_001}, "a call of 20001 rows could never pass a burst of 20000 rows"),
        ({"name": "Gold"}, "a plan's name"),
    ],
)
def test_limits_that_cannot_be_kept_are_refused(sqlite_database: Database, wrong: dict[str, object], said: str) -> None:
    with pytest.raises(Refused, match=said):
        plans.create_plan(sqlite_database, ALICE, replace(GOLD, **wrong))
    assert [plan.name for plan in plans.list_plans(sqlite_database)] == ["standard", "trial"]


def test_an_edit_is_judged_like_a_new_plan(sqlite_database: Database) -> None:
    with pytest.raises(Refused, match="could never pass a burst"):
        plans.edit_plan(sqlite_database, ALICE, "trial", lambda plan: replace(plan, rows_per_call=1_001))
