"""Each step of an endpoint's life on both databases: stored, numbered, audited, and none of it where it is refused."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlmodel import col, select

from gatehouse.db.audit import Actor
from gatehouse.db.revision import changes_since, last_revision
from gatehouse.db.session import Database
from gatehouse.db.tables import AuditTable
from gatehouse.errors import NotKnown, Refused
from gatehouse.identity.tenants import create_tenant
from gatehouse.migration.bridging import bridged, unbridged
from gatehouse.migration.endpoint import Deprecation, Endpoint, Extension, Shadow
from gatehouse.migration.life_store import Step, change_life
from gatehouse.migration.release import released
from gatehouse.migration.store import activate, api_versions_by_model, create_endpoint, list_endpoints, named_endpoint, store_release
from gatehouse.migration.transitions import Announcement, deprecated, extended, retired, undeprecated

ALICE = Actor("os-user:alice", "cli")
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SUNSET = date(2027, 6, 30)
SAID = Announcement(SUNSET, "v2", "new features", "https://partners.example/v2")
ENDING = Deprecation(NOW, SUNSET, "v2", "new features", "https://partners.example/v2")


def change(database: Database, action: str, step: Step, **more: bool) -> Endpoint:
    with database.write() as session:
        return change_life(session, ALICE, action, "iris", "v1", step, **more)


def find(database: Database) -> Endpoint:
    with database.read() as session:
        found = named_endpoint(session, "iris", "v1")
        assert found in list_endpoints(session)
        return found


def told(database: Database) -> list[tuple[str, str, Any]]:
    with database.read() as session:
        rows = session.exec(select(AuditTable).where(col(AuditTable.subject) == "iris/v1").order_by(col(AuditTable.id))).all()
    return [(row.actor, row.action, json.loads(row.detail)) for row in rows]


@pytest.fixture
def iris(database: Database) -> Database:
    with database.write() as session:
        create_endpoint(session, ALICE, "iris", "1.0.0")
        create_endpoint(session, ALICE, "iris", "2.0.0")
        activate(session, ALICE, "iris", "v2")
    return database


def test_a_whole_life_is_stored_numbered_and_audited(iris: Database) -> None:
    tenant = create_tenant(iris, ALICE, "acme", api_versions_by_model, models=("iris",)).tenant
    with iris.read() as session:
        before = last_revision(session)
    change(iris, "deprecate", lambda seen, all_: deprecated(seen, all_, SAID, NOW))
    assert find(iris) == Endpoint("iris", "v1", "deprecated", "1.0.0", deprecation=ENDING)
    change(iris, "extend", lambda seen, _all: extended(seen, tenant.id, "acme", date(2027, 9, 30), NOW))
    extension = Extension(tenant.id, "acme", date(2027, 9, 30))
    assert find(iris) == Endpoint("iris", "v1", "deprecated", "1.0.0", deprecation=ENDING, extensions=(extension,))
    change(iris, "retire", lambda seen, all_: retired(seen, all_, [], NOW, force=True), forced=True)
    gone = find(iris)
    assert (gone.state, gone.retired_at, gone.deprecation) == ("retired", NOW, ENDING)
    change(iris, "undeprecate", lambda seen, _all: undeprecated(seen))
    assert find(iris) == Endpoint("iris", "v1", "active", "1.0.0")
    with iris.read() as session:
        assert [(each.kind, each.id) for each in changes_since(session, before)] == [("endpoint", "iris/v1")] * 4
    ending = {"state": "deprecated", "sunset": "2027-06-30", "successor": "v2", "reason": SAID.reason, "link": SAID.link}
    longer = ending | {"extensions": {"acme": "2027-09-30"}}
    gone = ending | {"state": "retired"}
    assert told(iris)[1:] == [
        ("os-user:alice", "endpoint.deprecate", {"before": {"state": "active"}, "after": ending}),
        ("os-user:alice", "endpoint.extend", {"before": ending, "after": longer}),
        ("os-user:alice", "endpoint.retire", {"before": longer, "after": gone, "forced": True}),
        ("os-user:alice", "endpoint.undeprecate", {"before": gone, "after": {"state": "active"}}),
    ]


def test_a_release_leaves_a_deprecation_and_its_extensions_as_they_are(iris: Database) -> None:
    tenant = create_tenant(iris, ALICE, "acme", api_versions_by_model, models=("iris",)).tenant
    change(iris, "deprecate", lambda seen, all_: deprecated(seen, all_, SAID, NOW))
    change(iris, "extend", lambda seen, _all: extended(seen, tenant.id, "acme", date(2027, 9, 30), NOW))
    seen = find(iris)
    with iris.write() as session:
        store_release(session, ALICE, "release", seen, released(seen, "1.0.1"))
    assert find(iris) == replace(seen, stable_version="1.0.1", previous_version="1.0.0")


def test_what_is_refused_or_changes_nothing_leaves_no_trace(iris: Database) -> None:
    with iris.read() as session:
        before = last_revision(session)
    with pytest.raises(NotKnown):
        change(iris, "deprecate", lambda seen, all_: deprecated(seen, all_, Announcement(SUNSET, "v9"), NOW))
    with pytest.raises(Refused):
        change(iris, "extend", lambda seen, _all: extended(seen, "tnt_1", "acme", SUNSET, NOW))
    assert change(iris, "undeprecate", lambda seen, _all: undeprecated(seen)) == find(iris)
    with iris.write() as session, pytest.raises(NotKnown):
        change_life(session, ALICE, "retire", "iris", "v9", lambda seen, _all: seen)
    assert [action for _, action, _ in told(iris)] == ["endpoint.create"]
    with iris.read() as session:
        assert last_revision(session) == before


def test_a_bridge_is_stored_numbered_and_audited_and_ends_a_shadow(iris: Database) -> None:
    with iris.read() as session:
        before = last_revision(session)
    change(iris, "shadow", lambda seen, _all: replace(seen, shadow=Shadow("v2", 50)))
    assert find(iris).shadow == Shadow("v2", 50)
    change(iris, "bridge", lambda seen, all_: bridged(seen, all_, "v2", NOW))
    assert find(iris) == Endpoint("iris", "v1", "active", "1.0.0", bridged_to="v2")
    change(iris, "bridge", lambda seen, all_: bridged(seen, all_, "v2", NOW))  # once more is no change
    with pytest.raises(Refused, match="iris/v1 is bridged to iris/v2"), iris.write() as session:
        change_life(session, ALICE, "retire", "iris", "v2", lambda seen, all_: retired(seen, all_, [], NOW, force=True))
    change(iris, "unbridge", lambda seen, _all: unbridged(seen))
    assert find(iris) == Endpoint("iris", "v1", "active", "1.0.0")
    with iris.read() as session:
        assert [(each.kind, each.id) for each in changes_since(session, before)] == [("endpoint", "iris/v1")] * 3
    over = {"state": "active", "bridged_to": "v2"}
    assert [(action, detail["after"]) for _, action, detail in told(iris)[-2:]] == [
        ("endpoint.bridge", over),
        ("endpoint.unbridge", {"state": "active"}),
    ]
