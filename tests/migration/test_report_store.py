"""The migration report out of both databases: who is in it, by which figures, and how little is read for it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import past_calls
import pytest
from past_calls import insert_calls
from sqlalchemy import event, insert, update
from sqlmodel import col

from gatehouse.db.outbox import announce
from gatehouse.db.session import Database
from gatehouse.db.tables import ApiKeyTable, GrantTable, NoticeTable, TenantTable
from gatehouse.errors import Refused
from gatehouse.migration.endpoint import Deprecation, Endpoint, Extension
from gatehouse.migration.report import MigrationReport
from gatehouse.migration.report_standing import Pair, Told, pair_of
from gatehouse.migration.report_store import read_report
from gatehouse.migration.report_verdict import Word
from gatehouse.migration.shadow import UpgradeFailures
from gatehouse.migration.shadow_store import add_shadows
from gatehouse.migration.shadow_sums import ShadowDay, ShadowSums, UpgradeFailure

NOW = datetime(2026, 11, 15, 12, 30, tzinfo=UTC)
HOUR = datetime(2026, 11, 15, 12, tzinfo=UTC)
SINCE = datetime(2026, 11, 15, 11, 20, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
ENDING = Deprecation(SINCE, date(2027, 6, 30), "v2")
OLD = Endpoint("iris", "v1", "deprecated", "1.0.0", deprecation=ENDING)
NEW = Endpoint("iris", "v2", "active", "2.1.0")
call = partial(past_calls.call, NOW)


def tenant(database: Database, name: str, *grants: str, keys: Iterable[tuple[str, dict[str, Any]]] = (("k1", {}),), **more: Any) -> None:
    """A tenant whose id is `t-` and its name."""
    of = {"tenant_id": f"t-{name}", "created_at": NOW - 90 * DAY}
    with database.write() as session:
        session.execute(insert(TenantTable).values(id=f"t-{name}", name=name, plan="trial", created_at=NOW, **more))
        for version in grants:
            session.execute(insert(GrantTable).values(**of, model="iris", api_version=version))
        for key_id, columns in keys:
            values = {"id": key_id, "name": f"name-of-{key_id}", "scopes": "", "digest": bytes(32), "pepper_version": 1}
            session.execute(insert(ApiKeyTable).values(**of | values | columns))


def report(database: Database, tenant_id: str | None = None, old: Endpoint = OLD, new: Endpoint = NEW) -> MigrationReport:
    with database.read() as session:
        return read_report(session, Pair(old, new, rules=True), NOW, tenant_id)


def shadow(database: Database, name: str, other: str, **sums: Any) -> None:
    with database.write() as session:
        add_shadows(session, {ShadowDay(f"t-{name}", "iris", "v1", other, (NOW.date() - date(1970, 1, 1)).days): ShadowSums(**sums)})


def told(database: Database, name: str, event_name: str, delivered_at: datetime | None) -> None:
    with database.write() as session:
        assert announce(session, f"t-{name}", "endpoint.deprecated", event_name, "", {})
        mine = (col(NoticeTable.tenant_id) == f"t-{name}", col(NoticeTable.event) == event_name)
        session.execute(update(NoticeTable).where(*mine).values(delivered_at=delivered_at))


def test_whoever_may_call_it_or_has_called_it_is_in_the_report(database: Database) -> None:
    tenant(database, "all", "*", keys=[("a1", {})])
    tenant(database, "named", "v1", keys=[("n1", {})])
    tenant(database, "later-alone", "v2", keys=[("l1", {})])
    tenant(database, "nothing", keys=[("o1", {})])
    tenant(database, "was-granted", keys=[("w1", {})])
    tenant(database, "long-ago", keys=[("x1", {})])
    insert_calls(database, call("t-was-granted", DAY, key_id="w1"), call("t-long-ago", 32 * DAY, key_id="x1"))
    insert_calls(database, call("t-later-alone", DAY, key_id="l1", api_version="v2"), call("t-gone", DAY))
    found = {row.tenant: (row.verdict.word, [reason.code for reason in row.verdict.reasons]) for row in report(database).tenants}
    assert found == {
        "all": (Word.SILENT, ["no_calls"]),
        "named": (Word.SILENT, ["no_calls"]),
        "was-granted": (Word.SILENT, ["old_not_granted"]),
    }
    assert [row.tenant for row in report(database, old=replace(OLD, state="preview")).tenants] == ["named", "was-granted"]
    assert [row.tenant for row in report(database, "t-all").tenants] == ["all"]
    assert report(database, "t-nothing").tenants == ()


def test_keys_that_work_and_those_that_called_are_listed_and_add_up(database: Database) -> None:
    keys = [("k1", {}), ("k2", {"revoked_at": NOW - DAY}), ("k3", {"expires_at": NOW}), ("k4", {"revoked_at": NOW}), ("k5", {})]
    tenant(database, "acme", "*", keys=keys)
    insert_calls(
        database,
        *[call("t-acme", MINUTE), call("t-acme", MINUTE, 422), call("t-acme", MINUTE, 410), call("t-acme", 29 * DAY)],
        *[call("t-acme", 8 * DAY, key_id="k2"), call("t-acme", 8 * DAY, key_id="k2", api_version="v2")],
        *[call("t-acme", MINUTE, key_id="k3", api_version="v2"), call("t-acme", MINUTE, model="wine"), call("t-acme", 31 * DAY)],
        call("t-acme", 3 * DAY, key_id="unknown"),
    )
    (row,) = report(database).tenants
    shown = [(each.key.id, each.key.name, each.key.ended, each.moves.old_calls, each.moves.new_calls) for each in row.keys]
    assert shown == [
        ("k1", "name-of-k1", None, 3, 0),
        ("k2", "name-of-k2", "revoked on 2026-11-14", 1, 1),
        ("k3", "name-of-k3", "expired on 2026-11-15", 0, 1),
        ("k5", "name-of-k5", None, 0, 0),
        ("unknown", None, "the key is not there any more", 1, 0),
    ]
    moves = row.standing.moves
    assert (moves.old_calls, moves.new_calls, moves.gone_calls, moves.old_answered, moves.new_answered) == (5, 2, 1, 2, 1)
    assert (moves.last_old, row.keys[1].moves.last_old) == (HOUR, HOUR - 8 * DAY)
    assert moves.share == 2 / 7
    assert [each.verdict.word for each in row.keys] == [Word.AT_RISK, *[Word.SILENT] * 4]


def test_the_first_day_of_the_span_is_thirty_days_before_today(database: Database) -> None:
    tenant(database, "acme", "*")
    midnight = datetime(2026, 10, 16, tzinfo=UTC)
    insert_calls(database, call("t-acme", NOW - midnight), call("t-acme", NOW - midnight + timedelta(seconds=1)))
    found = report(database)
    assert (found.since, found.tenants[0].standing.moves.old_calls) == (date(2026, 10, 16), 1)


def test_switching_off_counts_whoever_is_answered_now(database: Database) -> None:
    tenant(database, "acme", "*", keys=[("a1", {})])
    tenant(database, "bulk", "v1", keys=[("b1", {}), ("b2", {"revoked_at": NOW})])
    tenant(database, "ended", "*", keys=[("e1", {"revoked_at": NOW})])
    tenant(database, "suspended", "*", keys=[("s1", {})], suspended_at=NOW)
    tenant(database, "refused", "*", keys=[("r1", {})])
    tenant(database, "not-granted", keys=[("n1", {})])
    insert_calls(database, *(call("t-acme", n * MINUTE, key_id="a1") for n in range(13)), call("t-acme", 8 * DAY, key_id="a1"))
    insert_calls(database, call("t-bulk", DAY, key_id="b1"), call("t-bulk", DAY, key_id="b2"), call("t-refused", DAY, 422, key_id="r1"))
    insert_calls(database, *(call(f"t-{name}", DAY, key_id=name[0] + "1") for name in ("ended", "suspended", "not-granted")))
    off = report(database).switched_off
    assert (off.tenants, off.calls, off.calls_a_day) == (2, 15, 2.1)
    past = replace(OLD, deprecation=replace(ENDING, sunset=date(2026, 11, 14)))
    assert report(database, old=past).switched_off.tenants == 0
    longer = replace(past, extensions=(Extension("t-bulk", "bulk", date(2026, 12, 31)),))
    assert (report(database, old=longer).switched_off.tenants, report(database, old=longer).switched_off.calls) == (1, 2)
    words = {row.tenant: [reason.code for reason in row.verdict.reasons] for row in report(database).tenants}
    assert (words["ended"], words["suspended"]) == (["key_ended"], ["suspended"])


def test_told_by_a_notice_that_arrived_and_by_answers_since_the_deprecation(database: Database) -> None:
    for name in ("notice", "waiting", "before", "answer", "same-hour-before", "same-hour-after", "gone"):
        tenant(database, name, "*", keys=[(name, {})])
    told(database, "notice", "iris/v1 until 2027-06-30, change 7", NOW)
    told(database, "waiting", "iris/v1 until 2027-06-30, change 7", None)
    told(database, "before", "iris/v1 until 2027-01-31, change 3", SINCE - DAY)
    insert_calls(
        database,
        call("t-answer", MINUTE, key_id="answer"),
        call("t-same-hour-before", NOW - SINCE + MINUTE, key_id="same-hour-before"),
        call("t-same-hour-after", NOW - SINCE - MINUTE, key_id="same-hour-after"),
        call("t-before", NOW - SINCE + timedelta(hours=2), key_id="before"),
        call("t-gone", MINUTE, 410, key_id="gone"),
    )
    found = {row.tenant: row.standing.told for row in report(database).tenants}
    assert found == {
        "notice": Told(by_notice=NOW),
        "waiting": Told(),
        "before": Told(),
        "answer": Told(by_answer=HOUR),
        "same-hour-before": Told(),
        "same-hour-after": Told(by_answer=SINCE),
        "gone": Told(by_answer=HOUR),
    }
    active = Endpoint("iris", "v1", "active", "1.0.0")
    assert {row.standing.told for row in report(database, old=active).tenants} == {Told()}


def test_differences_are_of_the_version_that_serves_the_successor_else_of_the_newest_compared(database: Database) -> None:
    tenant(database, "acme", "*", keys=[("a1", {})])
    tenant(database, "globex", "*", keys=[("g1", {})])
    small = Counter({UpgradeFailure("age", "out_of_range"): 2, UpgradeFailure("size", "missing"): 5})
    shadow(database, "acme", "2.9.0", calls=9, rows=9, not_upgraded=6, failures=small)
    shadow(database, "acme", "3.0.0", calls=5, rows=5)
    shadow(database, "acme", "1.1.0", calls=5, rows=5)
    shadow(database, "globex", "2.10.0", calls=7, rows=7, disagreed=7)
    found = report(database)
    assert found.compared_with == "2.10.0"
    assert [row.standing.shadow and row.standing.shadow.rows for row in found.tenants] == [None, 7]
    shadow(database, "acme", "2.1.0", calls=3, rows=3, not_upgraded=1, failures=Counter({UpgradeFailure("age", "out_of_range"): 1}))
    acme, globex = report(database).tenants
    assert acme.standing.shadow is not None
    assert (acme.standing.shadow.rows, acme.standing.failures) == (3, (UpgradeFailures("t-acme", "age", "out_of_range", 1),))
    assert (globex.standing.shadow, globex.standing.failures) == (None, ())
    assert report(database, "t-globex").compared_with == "2.10.0"
    assert report(database, new=replace(NEW, api_version="v3", stable_version="3.0.0")).compared_with == "3.0.0"
    assert report(database, new=replace(NEW, api_version="v4", stable_version="4.0.0")).compared_with is None


@pytest.mark.parametrize(("old", "new"), [("v2", "v1"), ("v1", "v1"), ("v10", "v9")])
def test_a_pair_goes_from_the_older_to_the_later_version(old: str, new: str) -> None:
    with pytest.raises(Refused, match=f"iris/{new} is no later version than iris/{old}; name the older one first"):
        pair_of(replace(OLD, api_version=old), replace(NEW, api_version=new), None)
    assert pair_of(replace(OLD, api_version="v9"), replace(NEW, api_version="v10"), True).rules is True


def test_no_summary_and_no_event_is_read_whole(sqlite_database: Database) -> None:
    for number in range(3):
        tenant(sqlite_database, f"n{number}", "*", keys=[(f"k{number}", {})])
        insert_calls(sqlite_database, call(f"t-n{number}", NOW - SINCE + MINUTE))
    said: list[tuple[str, Any]] = []
    event.listen(sqlite_database.engine, "before_cursor_execute", lambda *heard: said.append((heard[2], heard[3])))
    report(sqlite_database)
    with sqlite_database.read() as session:
        asked = [(statement, values) for statement, values in said if statement.startswith("SELECT")]
        plans = [row[3] for each in asked for row in session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {each[0]}", each[1])]
    assert any("SEARCH usage_event USING" in line and "tenant_id=? AND at_us>?" in line for line in plans), plans
    assert any("SEARCH usage_day USING" in line and "tenant_id=? AND day>?" in line for line in plans), plans
    assert any("SEARCH usage_summary USING" in line and "tenant_id=? AND hour>?" in line for line in plans), plans
    assert not [line for line in plans if line.startswith(("SCAN usage_event", "SCAN usage_summary"))], plans
