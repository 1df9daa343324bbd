"""Endpoints on both databases: what goes live by itself, what never does, and what is refused."""

import json
import re
from dataclasses import replace

import pytest
from sqlmodel import col, select

from gatehouse.db.audit import Actor
from gatehouse.db.revision import Change, changes_since
from gatehouse.db.session import Database
from gatehouse.db.tables import AuditTable
from gatehouse.errors import NotKnown, Refused
from gatehouse.migration import store
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.release import promoted, released, rolled_back, with_canary

ALICE = Actor("os-user:alice", "cli")


def create(database: Database, model: str, version: str) -> Endpoint:
    with database.write() as session:
        return store.create_endpoint(session, ALICE, model, version)


def find(database: Database, model: str = "iris", api_version: str = "v1") -> Endpoint:
    with database.read() as session:
        return store.named_endpoint(session, model, api_version)


def go(database: Database, action: str, wanted: Endpoint, seen: Endpoint | None = None, **more: bool) -> Endpoint:
    with database.write() as session:
        return store.store_release(session, ALICE, action, seen or store.named_endpoint(session, "iris", "v1"), wanted, **more)


def test_first_endpoint_of_a_model_is_active_and_a_new_major_is_a_preview(database: Database) -> None:
    assert create(database, "iris", "1.0.0") == Endpoint("iris", "v1", "active", "1.0.0")
    assert create(database, "iris", "2.0.0") == Endpoint("iris", "v2", "preview", "2.0.0")
    assert create(database, "churn", "3.1.4") == Endpoint("churn", "v3", "active", "3.1.4")
    with database.read() as session:
        assert [endpoint.name for endpoint in store.list_endpoints(session)] == ["churn/v3", "iris/v1", "iris/v2"]
        assert store.find_endpoint(session, "iris", "v2") == Endpoint("iris", "v2", "preview", "2.0.0")
        assert store.find_endpoint(session, "iris", "v3") is None
        assert store.api_versions_by_model(session) == {"churn": {"v3"}, "iris": {"v1", "v2"}}
        assert changes_since(session, 0) == [
            Change(1, "endpoint", "iris/v1"),
            Change(2, "endpoint", "iris/v2"),
            Change(3, "endpoint", "churn/v3"),
        ]


def test_tenth_api_version_stands_after_the_second(database: Database) -> None:
    for version in ("10.0.0", "2.0.0"):
        create(database, "iris", version)
    with database.read() as session:
        assert [endpoint.api_version for endpoint in store.list_endpoints(session)] == ["v2", "v10"]


def test_each_step_of_a_release_is_stored_numbered_and_audited(database: Database) -> None:
    create(database, "iris", "1.0.0")
    go(database, "release", with_canary(find(database), "1.1.0", 10))
    assert find(database) == Endpoint("iris", "v1", "active", "1.0.0", None, "1.1.0", 10)
    go(database, "promote", promoted(find(database)))
    assert find(database) == Endpoint("iris", "v1", "active", "1.1.0", "1.0.0")
    go(database, "rollback", rolled_back(find(database)), forced=True)
    assert find(database) == Endpoint("iris", "v1", "active", "1.0.0")
    with database.read() as session:
        assert changes_since(session, 1) == [Change(number, "endpoint", "iris/v1") for number in (2, 3, 4)]
        rows = session.exec(select(AuditTable).order_by(col(AuditTable.id))).all()
    assert [(row.action, row.subject, json.loads(row.detail)) for row in rows[1:]] == [
        (
            "endpoint.release",
            "iris/v1",
            {"before": {"stable_version": "1.0.0"}, "after": {"stable_version": "1.0.0", "canary_version": "1.1.0", "canary_percent": 10}},
        ),
        (
            "endpoint.promote",
            "iris/v1",
            {"before": {"stable_version": "1.0.0", "canary_version": "1.1.0", "canary_percent": 10}, "after": {"stable_version": "1.1.0"}},
        ),
        ("endpoint.rollback", "iris/v1", {"before": {"stable_version": "1.1.0"}, "after": {"stable_version": "1.0.0"}, "forced": True}),
    ]


def test_the_same_release_again_makes_servers_look_again_and_leaves_no_trace(database: Database) -> None:
    create(database, "iris", "1.0.0")
    go(database, "release", released(find(database), "1.0.0"))
    with database.read() as session:
        assert changes_since(session, 1) == [Change(2, "endpoint", "iris/v1")]
        assert len(session.exec(select(AuditTable)).all()) == 1


def test_a_decision_on_an_endpoint_that_was_changed_meanwhile_is_refused(database: Database) -> None:
    create(database, "iris", "1.0.0")
    seen = find(database)
    go(database, "release", released(seen, "1.1.0"))
    with pytest.raises(Refused, match=re.escape("changed by somebody else meanwhile: gatehouse endpoints show iris v1")):
        go(database, "release", released(seen, "1.2.0"), seen)
    assert find(database).stable_version == "1.1.0"


def test_the_end_of_a_preview_keeps_the_release(database: Database) -> None:
    create(database, "iris", "1.0.0")
    create(database, "iris", "2.0.0")
    with database.write() as session:
        seen = store.named_endpoint(session, "iris", "v2")
        wanted = store.store_release(session, ALICE, "release", seen, with_canary(released(seen, "2.1.0"), "2.2.0", 5))
    with database.write() as session:
        activated = store.activate(session, ALICE, "iris", "v2")
    assert activated == replace(wanted, state="active")
    assert find(database, "iris", "v2") == activated


def test_an_endpoint_is_opened_once(database: Database) -> None:
    create(database, "iris", "1.0.0")
    with pytest.raises(Refused, match=re.escape("gatehouse endpoints release iris v1 --version 1.0.1")):
        create(database, "iris", "1.0.1")


def test_unknown_endpoint_is_answered_with_the_known_ones(database: Database) -> None:
    create(database, "iris", "1.0.0")
    with pytest.raises(NotKnown, match=re.escape("no endpoint 'iris/v2'; known endpoints: iris/v1; did you mean iris/v1?")):
        find(database, "iris", "v2")
