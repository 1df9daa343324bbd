"""What shadows came to, on both databases: added to, read over days, of one tenant or of all, and taken away."""

from collections import Counter
from datetime import date
from threading import Barrier, Thread

import pytest

from gatehouse.db.session import Database
from gatehouse.migration.shadow import UpgradeFailures
from gatehouse.migration.shadow_retention_store import remove_shadows
from gatehouse.migration.shadow_store import add_shadows, shadow_figures, upgrade_failures
from gatehouse.migration.shadow_sums import ShadowDay, ShadowSums, UpgradeFailure
from gatehouse.migration.shift_buckets import shift_of

FIRST, SECOND = date(2026, 11, 20), date(2026, 11, 21)
AGE = UpgradeFailure("age", "out_of_range")
NAMES = UpgradeFailure("first,last", "too_long")


def key(tenant: str = "t1", other: str = "2.0.0", day: date = FIRST, model: str = "iris", api_version: str = "v1") -> ShadowDay:
    return ShadowDay(tenant, model, api_version, other, (day - date(1970, 1, 1)).days)


def sums(**more: int) -> ShadowSums:
    each = ShadowSums(calls=4, dropped=1, failed=1, rows=10, not_upgraded=2, disagreed=3, shift_sum=-0.4)
    each.shifts = Counter({-400: 3, 0: 5})
    each.failures = Counter({AGE: 2, NAMES: 1})
    for name, value in more.items():
        setattr(each, name, value)
    return each


def add(database: Database, sums_by_day: dict[ShadowDay, ShadowSums]) -> None:
    with database.write() as session:
        add_shadows(session, sums_by_day)


def test_sums_of_several_days_and_flushes_add_up(database: Database) -> None:
    add(database, {key(): sums(), key(day=SECOND): sums(calls=6, dropped=3)})
    add(database, {key(): sums()})
    with database.read() as session:
        [figures] = shadow_figures(session, "iris", "v1", FIRST)
        [later] = shadow_figures(session, "iris", "v1", SECOND)
        failures = upgrade_failures(session, "iris", "v1", FIRST)
    assert (figures.tenant_id, figures.other_version) == ("t1", "2.0.0")
    assert (figures.calls, figures.dropped, figures.failed, figures.rows) == (14, 5, 3, 30)
    assert (figures.not_upgraded, figures.compared, figures.disagreed) == (6, 24, 9)
    assert figures.shift_mean == pytest.approx(-1.2 / 24)
    assert figures.shift_quantiles == {5: shift_of(-400), 50: 0.0, 95: 0.0}
    assert (later.calls, later.dropped) == (6, 3)
    assert failures == [UpgradeFailures("t1", "age", "out_of_range", 6), UpgradeFailures("t1", "first,last", "too_long", 3)]


def test_each_tenant_and_each_other_version_stands_alone(database: Database) -> None:
    elsewhere = {key(model="wine"): sums(calls=100), key(api_version="v2"): sums(calls=100)}
    add(database, {key(): sums(), key("t2"): sums(calls=7, dropped=4), key(other="2.1.0"): sums(), **elsewhere})
    with database.read() as session:
        every = shadow_figures(session, "iris", "v1", FIRST)
        of_one = shadow_figures(session, "iris", "v1", FIRST, "t2")
        failures = upgrade_failures(session, "iris", "v1", FIRST, "t2")
    assert [(each.tenant_id, each.other_version, each.calls) for each in every] == [
        ("t1", "2.0.0", 4),
        ("t1", "2.1.0", 4),
        ("t2", "2.0.0", 7),
    ]
    assert [(each.tenant_id, each.calls) for each in of_one] == [("t2", 7)]
    assert {each.tenant_id for each in failures} == {"t2"}


def test_calls_that_were_only_dropped_have_no_shift(database: Database) -> None:
    add(database, {key(): ShadowSums(calls=5, dropped=5)})
    with database.read() as session:
        [figures] = shadow_figures(session, "iris", "v1", FIRST)
    assert (figures.calls, figures.compared, figures.shift_mean, figures.shift_quantiles) == (5, 0, None, {})


def test_nothing_is_lost_where_two_add_at_once(database: Database) -> None:
    ready = Barrier(2)
    both = {key(): sums(), key("t2"): sums(), key("t3"): sums()}

    def many(order: list[ShadowDay]) -> None:
        ready.wait()
        for _ in range(10):
            add(database, {each: both[each] for each in order})

    threads = [Thread(target=many, args=(order,)) for order in (list(both), list(reversed(both)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as session:
        assert [each.calls for each in shadow_figures(session, "iris", "v1", FIRST)] == [80, 80, 80]


def test_a_tenants_days_before_a_date_are_taken_away_and_nobody_elses(database: Database) -> None:
    add(database, {key(): sums(), key(day=SECOND): sums(), key("t2"): sums()})
    with database.write() as session:
        assert remove_shadows(session, "t1", SECOND, 10) == 5
        assert remove_shadows(session, "t1", SECOND, 10) == 0
    with database.read() as session:
        left = [(each.tenant_id, each.calls, each.shift_quantiles[5]) for each in shadow_figures(session, "iris", "v1", FIRST)]
        failures = [(each.tenant_id, each.rows) for each in upgrade_failures(session, "iris", "v1", FIRST)]
    assert left == [("t1", 4, shift_of(-400)), ("t2", 4, shift_of(-400))]
    assert failures == [("t1", 2), ("t1", 1), ("t2", 2), ("t2", 1)]


def test_they_are_taken_away_batch_by_batch(database: Database) -> None:
    add(database, {key(other=f"2.{minor}.0"): sums() for minor in range(5)})
    with database.write() as session:
        assert [remove_shadows(session, "t1", SECOND, 4) for _ in range(4)] == [4 + 4 + 4, 1 + 4 + 4, 2 + 2, 0]
        assert shadow_figures(session, "iris", "v1", FIRST) == []


def test_adding_nothing_writes_nothing(database: Database) -> None:
    add(database, {})
    with database.read() as session:
        assert shadow_figures(session, "iris", "v1", FIRST) == []
        assert upgrade_failures(session, "iris", "v1", FIRST) == []
