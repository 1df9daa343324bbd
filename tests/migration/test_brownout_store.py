"""Brownouts in the database, on both: decided, stored, numbered, audited and told of at once, or nothing of it."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import Session, col, select

from gatehouse.db.audit import Actor
from gatehouse.db.revision import changes_since, last_revision
from gatehouse.db.session import Database
from gatehouse.db.tables import AuditTable, BrownoutTable, NoticeTable
from gatehouse.errors import Refused
from gatehouse.identity.tenants import create_tenant
from gatehouse.migration.announcing import Herald
from gatehouse.migration.brownout import Wish
from gatehouse.migration.brownout_store import cancel_brownout, end_rehearsal, plan_brownout, rehearse_brownout
from gatehouse.migration.endpoint import Brownout, Endpoint
from gatehouse.migration.life_store import change_life
from gatehouse.migration.release import released
from gatehouse.migration.store import activate, api_versions_by_model, create_endpoint, named_endpoint, store_release
from gatehouse.migration.transitions import Announcement, deprecated, retired

ALICE = Actor("os-user:alice", "cli")
HERALD = Herald("https://api.example.org")
NOW = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)
"""Ahead of the clock, by which windows that are over are left out: this is read long before the last of these tests runs."""
START = NOW + timedelta(days=2)
TEN = timedelta(minutes=10)


@pytest.fixture
def iris(database: Database) -> Database:
    """iris/v1 is deprecated; acme and globex may call it."""
    with database.write() as session:
        for version in ("1.0.0", "2.0.0"):
            create_endpoint(session, ALICE, "iris", version)
        activate(session, ALICE, "iris", "v2")
        said = Announcement(NOW.date() + timedelta(days=100), "v2")
        change_life(session, ALICE, "deprecate", "iris", "v1", lambda seen, all_: deprecated(seen, all_, said, NOW))
    for tenant in ("acme", "globex"):
        create_tenant(database, ALICE, tenant, api_versions_by_model, models=("iris",))
    return database


def tenant_id(database: Database, name: str) -> str:
    return create_tenant(database, ALICE, name, api_versions_by_model, models=("iris",)).tenant.id


def plan(session: Session, wish: Wish, **more: bool) -> Brownout:
    return plan_brownout(session, ALICE, HERALD, "iris", "v1", wish, NOW, **more).window


def seen(database: Database) -> Endpoint:
    with database.read() as session:
        return named_endpoint(session, "iris", "v1")


def audited(database: Database) -> list[tuple[str, Any]]:
    with database.read() as session:
        rows = session.exec(select(AuditTable).where(col(AuditTable.subject) == "iris/v1").order_by(col(AuditTable.id))).all()
    return [(row.action, json.loads(row.detail)) for row in rows]


def notices(database: Database) -> list[tuple[str, str]]:
    with database.read() as session:
        return sorted((row.kind, row.event) for row in session.exec(select(NoticeTable)))


def revision(database: Database) -> int:
    with database.read() as session:
        return last_revision(session)


def test_a_window_is_stored_numbered_audited_and_told_of_and_so_is_taking_it_back(iris: Database) -> None:
    before = revision(iris)
    with iris.write() as session:
        window = plan(session, Wish(START, 10, 20))
    assert seen(iris).brownouts == (Brownout(window.id, START, START + TEN, 20),)
    with iris.write() as session:
        assert cancel_brownout(session, ALICE, HERALD, window.id).told.tenants == 2
    assert seen(iris).brownouts == ()
    with iris.read() as session:
        assert [(each.kind, each.id) for each in changes_since(session, before)] == [("endpoint", "iris/v1")] * 2
    said = {"brownout": window.id, "starts_at": START.isoformat(), "ends_at": (START + TEN).isoformat(), "percent": 20}
    assert audited(iris)[2:] == [("endpoint.brownout", {"after": said}), ("endpoint.cancel_brownout", {"before": said})]
    event = f"iris/v1 brownout {window.id}"
    assert notices(iris) == [("endpoint.brownout", event)] * 2 + [("endpoint.brownout_cancelled", event)] * 2


def test_what_is_refused_leaves_no_trace(iris: Database) -> None:
    before = revision(iris), audited(iris), notices(iris)
    for wish in (Wish(NOW + TEN, 10), Wish(START, 61)):
        with pytest.raises(Refused), iris.write() as session:
            plan(session, wish)
    with pytest.raises(Refused), iris.write() as session:
        cancel_brownout(session, ALICE, HERALD, "brn_unknown")
    with iris.write() as session:
        end_rehearsal(session, ALICE, "iris", "v1", "key_1")
    assert (revision(iris), audited(iris), notices(iris)) == before


def test_one_that_is_over_cannot_be_taken_back_and_is_seen_by_nobody(iris: Database) -> None:
    with iris.write() as session:
        over = {"id": "brn_over", "model": "iris", "api_version": "v1", "percent": 100, "created_at": NOW}
        session.add(BrownoutTable(**over, starts_at=NOW - timedelta(days=1), ends_at=NOW - timedelta(days=1) + TEN))
    assert seen(iris).brownouts == ()
    with pytest.raises(Refused, match="no brownout 'brn_over' is planned or under way"), iris.write() as session:
        cancel_brownout(session, ALICE, HERALD, "brn_over")


@pytest.mark.parametrize("rehearsal", [False, True])
def test_windows_that_were_over_long_ago_are_taken_away_with_the_next_one(iris: Database, rehearsal: bool) -> None:
    week, minute = timedelta(days=7), timedelta(minutes=1)
    with iris.write() as session:
        for id, ends_at in (("brn_long_over", NOW - week - minute), ("brn_over", NOW - week + minute), ("brn_to_come", START + TEN)):
            more = {"model": "other", "api_version": "v1", "percent": 100, "created_at": NOW, "starts_at": ends_at - minute}
            session.add(BrownoutTable(id=id, ends_at=ends_at, **more))
    initech = tenant_id(iris, "initech")
    with iris.write() as session:
        if rehearsal:
            rehearse_brownout(session, ALICE, "iris", "v1", Wish(NOW, 5, 100, initech), "key_1", NOW)
        else:
            plan(session, Wish(START, 10))
    with iris.read() as session:
        left = {row.id for row in session.exec(select(BrownoutTable)) if row.model == "other"}
    assert left == {"brn_over", "brn_to_come"}


def test_a_key_has_one_rehearsal_of_an_endpoint_and_nobody_is_told_of_it(iris: Database) -> None:
    initech = tenant_id(iris, "initech")
    with iris.write() as session:
        planned = plan(session, Wish(START, 10))
        told = len(session.exec(select(NoticeTable)).all())
        rehearsals = [rehearse_brownout(session, ALICE, "iris", "v1", Wish(NOW, minutes, 100, initech), "key_1", NOW) for minutes in (5, 7)]
        rehearse_brownout(session, ALICE, "iris", "v1", Wish(NOW, 5, 100, initech), "key_2", NOW)
    found = {window.key_id: window for window in seen(iris).brownouts}
    assert found["key_1"] == rehearsals[1]
    assert (len(seen(iris).brownouts), found[None]) == (3, planned)
    with iris.write() as session:
        end_rehearsal(session, ALICE, "iris", "v1", "key_1")
        assert len(session.exec(select(NoticeTable)).all()) == told
    assert [window.key_id for window in seen(iris).brownouts] == ["key_2", None]
    said = [(action, detail.get("after") or detail["before"]) for action, detail in audited(iris)[3:]]
    actions = [(action, window.get("key"), window.get("tenant")) for action, window in said]
    assert actions == [
        ("endpoint.rehearse_brownout", "key_1", "initech"),
        ("endpoint.rehearse_brownout", "key_1", "initech"),
        ("endpoint.rehearse_brownout", "key_2", "initech"),
        ("endpoint.end_rehearsal", "key_1", "initech"),
    ]


def test_windows_are_gone_when_the_endpoint_is_retired_and_a_release_leaves_them(iris: Database) -> None:
    with iris.write() as session:
        window = plan(session, Wish(START, 10))
        before = named_endpoint(session, "iris", "v1")
    with iris.write() as session:
        rehearse_brownout(session, ALICE, "iris", "v1", Wish(NOW, 5, 100, tenant_id(iris, "initech")), "key_1", NOW)
    with iris.write() as session:
        store_release(session, ALICE, "release", before, released(before, "1.0.1"))  # a rehearsal meanwhile is no change of the endpoint
    assert window in seen(iris).brownouts
    with iris.write() as session:
        change_life(session, ALICE, "retire", "iris", "v1", lambda found, all_: retired(found, all_, [], NOW, force=True))
    with iris.read() as session:
        assert session.exec(select(BrownoutTable)).all() == []
