"""What tenants are told of an endpoint's end: which step is what to whom, and each threshold once, on both databases."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update
from sqlmodel import col, select

from gatehouse.db.audit import Actor
from gatehouse.db.session import Database
from gatehouse.db.tables import NoticeTable
from gatehouse.identity.tenants import add_grant, create_tenant
from gatehouse.migration.announcing import NEAR_DAYS, Herald, kind_of, nearest_threshold
from gatehouse.migration.endpoint import Deprecation, Endpoint, Extension
from gatehouse.migration.grants_store import Granted
from gatehouse.migration.life_store import Step, change_life
from gatehouse.migration.lifecycle import Endpoints
from gatehouse.migration.reminding import Reminding
from gatehouse.migration.store import activate, api_versions_by_model, create_endpoint, list_endpoints
from gatehouse.migration.transitions import Announcement, deprecated, extended, undeprecated

ALICE = Actor("os-user:alice", "cli")
BASE = "https://api.example.org"
TODAY = datetime.now(UTC).date()
SINCE = datetime(2026, 11, 21, 12, tzinfo=UTC)
LAST_DAY = date(2027, 6, 30)
ACTIVE = Endpoint("iris", "v1", "active", "1.0.0")
ENDING = replace(ACTIVE, state="deprecated", deprecation=Deprecation(SINCE, LAST_DAY, "v2"))
LATER = replace(ENDING, deprecation=Deprecation(SINCE, date(2027, 8, 31), "v2"))
LONGER = replace(ENDING, extensions=(Extension("ten_acme", "acme", date(2027, 9, 30)),))


@pytest.mark.parametrize(
    ("before", "after", "acme", "others"),
    [
        (ACTIVE, ENDING, "deprecated", "deprecated"),
        (ENDING, ENDING, None, None),
        (ENDING, replace(ENDING, deprecation=Deprecation(SINCE, LAST_DAY, "v2", "a reason")), None, None),
        (ENDING, LATER, "sunset_changed", "sunset_changed"),
        (ENDING, replace(ENDING, deprecation=Deprecation(SINCE, LAST_DAY, "v3")), "sunset_changed", "sunset_changed"),
        (ENDING, LONGER, "extended", None),
        (LONGER, replace(LONGER, deprecation=LATER.deprecation), None, "sunset_changed"),
        (LONGER, ENDING, "sunset_changed", None),
        (ENDING, replace(ENDING, state="retired", retired_at=SINCE), "retired", "retired"),
        (ENDING, ACTIVE, "undeprecated", "undeprecated"),
        (replace(ACTIVE, state="retired", retired_at=SINCE), ACTIVE, "undeprecated", "undeprecated"),
        (ENDING, replace(ENDING, bridged_to="v2"), None, None),
        (ACTIVE, replace(ACTIVE, stable_version="1.0.1"), None, None),
    ],
)
def test_a_step_is_told_to_those_for_whom_something_is_different(
    before: Endpoint, after: Endpoint, acme: str | None, others: str | None
) -> None:
    kinds = [None if kind is None else f"endpoint.{kind}" for kind in (acme, others)]
    assert [kind_of(before, after, tenant) for tenant in ("ten_acme", "ten_other")] == kinds


@given(left=st.integers(-400, 400))
def test_the_nearest_threshold_is_the_last_of_the_four_days_that_has_come(left: int) -> None:
    today = LAST_DAY - timedelta(days=left)
    come = [days for days in NEAR_DAYS if LAST_DAY - timedelta(days=days) <= today <= LAST_DAY]
    assert nearest_threshold(LAST_DAY, today) == min(come, default=None)


def granted(database: Database) -> Database:
    """acme and globex may call iris v1, initech v2 alone."""
    with database.write() as session:
        for version in ("1.0.0", "2.0.0"):
            create_endpoint(session, ALICE, "iris", version)
        activate(session, ALICE, "iris", "v2")
    create_tenant(database, ALICE, "acme", api_versions_by_model, models=("iris",))
    for tenant, version in (("globex", "v1"), ("initech", "v2")):
        create_tenant(database, ALICE, tenant, api_versions_by_model)
        add_grant(database, ALICE, tenant, "iris", api_versions_by_model, api_version=version)
    return database


@pytest.fixture
def iris(sqlite_database: Database) -> Database:
    return granted(sqlite_database)


@pytest.fixture
def iris_on_each(database: Database) -> Database:
    return granted(database)


def change(database: Database, action: str, step: Step) -> None:
    with database.write() as session:
        change_life(session, ALICE, action, "iris", "v1", step, herald=Herald(BASE))


def deprecate(database: Database, last_day: date, successor: str = "v2") -> None:
    said = Announcement(last_day, successor)
    change(database, "deprecate", lambda seen, all_: deprecated(seen, all_, said, datetime.now(UTC)))


def told(database: Database) -> list[tuple[str, str, str, dict[str, Any]]]:
    """Tenant, kind, threshold and data of each notice."""
    with database.read() as session:
        rows = session.exec(select(NoticeTable).order_by(col(NoticeTable.created_at), col(NoticeTable.tenant_id))).all()
        bodies = [json.loads(row.body) for row in rows]
        return [(body["data"]["tenant"], row.kind, row.threshold, body["data"]) for row, body in zip(rows, bodies, strict=True)]


def near(database: Database) -> list[tuple[str, str, int]]:
    """Tenant, threshold and days of each notice that an end is near."""
    return sorted((tenant, threshold, data["days"]) for tenant, kind, threshold, data in told(database) if kind == "endpoint.sunset_near")


def reminding(database: Database, today: date) -> Callable[[], None]:
    """What a server does again and again, on a day."""

    def now() -> datetime:
        return datetime.combine(today, time(0, 0, 30), UTC)

    with database.read() as session:
        endpoints = Endpoints(BASE, now, list_endpoints(session))
    return Reminding(database, endpoints, Herald(BASE), now).remind


def remind(database: Database, today: date) -> None:
    reminding(database, today)()


def test_those_with_a_grant_are_told_of_a_step_in_public_words(iris_on_each: Database) -> None:
    deprecate(iris_on_each, TODAY + timedelta(days=200))
    found = told(iris_on_each)
    assert sorted(tenant for tenant, _, _, _ in found) == ["acme", "globex"]
    assert found[0][3] == {
        "tenant": found[0][0],
        "model": "iris",
        "api_version": "v1",
        "sunset": str(TODAY + timedelta(days=200)),
        "successor": {"api_version": "v2", "url": f"{BASE}/v2/models/iris/predict"},
        "link": f"{BASE}/v2/models/iris",
    }


def test_the_link_is_the_guide_where_rules_lead_up() -> None:
    herald = Herald(BASE, lambda model, old, new: (model, old, new) == ("iris", "v1", "v2"))
    said = herald.words(LONGER, Granted("ten_acme", "acme"))
    assert (said["link"], said["sunset"]) == (f"{BASE}/v2/models/iris/migrate-from/v1", "2027-09-30")
    assert herald.words(LONGER, Granted("ten_other", "other"))["sunset"] == "2027-06-30"


def test_a_day_that_is_moved_back_and_forth_is_told_each_time(iris: Database) -> None:
    for days in (200, 300, 200):
        deprecate(iris, TODAY + timedelta(days=days))
    change(iris, "undeprecate", lambda seen, _all: undeprecated(seen))
    deprecate(iris, TODAY + timedelta(days=200))
    kinds = [kind for tenant, kind, _, _ in told(iris) if tenant == "acme"]
    steps = ("deprecated", "sunset_changed", "sunset_changed", "undeprecated", "deprecated")
    assert kinds == [f"endpoint.{step}" for step in steps]


def test_each_threshold_is_told_once_on_its_day_and_the_last_day_is_the_tenants_own(iris: Database) -> None:
    last_day = TODAY + timedelta(days=200)
    deprecate(iris, last_day)
    with iris.read() as session:
        (acme,) = session.exec(select(NoticeTable.tenant_id).where(col(NoticeTable.body).contains('"acme"'))).all()
    longer = last_day + timedelta(days=50)
    change(iris, "extend", lambda seen, _all: extended(seen, acme, "acme", longer, datetime.now(UTC)))
    expected = list[tuple[str, str, int]]()
    for days in range(91, -2, -1):
        remind(iris, last_day - timedelta(days=days))
        if days in NEAR_DAYS:
            remind(iris, last_day - timedelta(days=days))
            expected.append(("globex", str(days), days))
        if days + 50 == 90:
            expected.append(("acme", "90", 90))
        assert near(iris) == sorted(expected), days


def test_a_server_that_was_down_tells_the_nearest_threshold_late_and_those_before_it_never(iris_on_each: Database) -> None:
    last_day = TODAY + timedelta(days=200)
    deprecate(iris_on_each, last_day)
    remind(iris_on_each, last_day - timedelta(days=5))
    assert near(iris_on_each) == [("acme", "7", 5), ("globex", "7", 5)]
    remind(iris_on_each, last_day)
    assert near(iris_on_each) == [("acme", "1", 0), ("acme", "7", 5), ("globex", "1", 0), ("globex", "7", 5)]


def test_what_is_deprecated_20_days_before_its_end_starts_with_7(iris: Database) -> None:
    last_day = TODAY + timedelta(days=20)
    deprecate(iris, last_day)
    for days in range(20, 7, -1):
        remind(iris, last_day - timedelta(days=days))
    assert near(iris) == []
    remind(iris, last_day - timedelta(days=7))
    assert near(iris) == [("acme", "7", 7), ("globex", "7", 7)]


def test_a_day_that_is_moved_begins_anew(iris: Database) -> None:
    last_day = TODAY + timedelta(days=200)
    deprecate(iris, last_day)
    remind(iris, last_day - timedelta(days=30))
    deprecate(iris, last_day + timedelta(days=10))
    remind(iris, last_day + timedelta(days=10) - timedelta(days=30))
    assert near(iris) == [("acme", "30", 30)] * 2 + [("globex", "30", 30)] * 2


def test_a_grant_that_comes_late_is_told_how_near_the_end_is(iris: Database) -> None:
    last_day = TODAY + timedelta(days=20)
    deprecate(iris, last_day)
    add_grant(iris, ALICE, "initech", "iris", api_versions_by_model, api_version="v1")
    remind(iris, TODAY)
    assert near(iris) == [("initech", "30", 20)]


def test_an_end_that_was_announced_before_there_were_notices_is_told_too(iris: Database) -> None:
    deprecate(iris, TODAY + timedelta(days=25))
    with iris.write() as session:
        session.execute(update(NoticeTable).values(kind="other.kind"))
    remind(iris, TODAY)
    assert near(iris) == [("acme", "30", 25), ("globex", "30", 25)]


def test_two_processes_at_once_tell_a_threshold_once(iris_on_each: Database) -> None:
    last_day = TODAY + timedelta(days=200)
    deprecate(iris_on_each, last_day)
    both = [reminding(iris_on_each, last_day - timedelta(days=7)) for _ in range(2)]
    start = threading.Barrier(2)
    errors = list[BaseException]()

    def run(work: Callable[[], None]) -> None:
        try:
            start.wait(10)
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert near(iris_on_each) == [("acme", "7", 7), ("globex", "7", 7)]


def test_what_is_not_deprecated_any_more_is_not_told_although_a_process_has_not_seen_it_yet(iris: Database) -> None:
    last_day = TODAY + timedelta(days=200)
    deprecate(iris, last_day)
    late = reminding(iris, last_day - timedelta(days=7))
    change(iris, "undeprecate", lambda seen, _all: undeprecated(seen))
    late()
    assert near(iris) == []
