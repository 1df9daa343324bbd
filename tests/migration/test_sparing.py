"""When it is judged who has moved: near a window and while it is open, for each window by itself, and anew each half minute."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gatehouse.call import Call, Route
from gatehouse.db.audit import Actor
from gatehouse.db.session import Database
from gatehouse.errors import EndpointBrownout
from gatehouse.identity.tenants import create_tenant
from gatehouse.migration.endpoint import Brownout, Deprecation, Endpoint
from gatehouse.migration.lifecycle import Endpoints
from gatehouse.migration.sparing import Sparing
from gatehouse.migration.store import api_versions_by_model, create_endpoint
from gatehouse.principal import Plan, Principal, Rate, Scope
from gatehouse.usage.event import UsageEvent, uuid7
from gatehouse.usage.store import insert_batch

ALICE = Actor("os-user:alice", "cli")
NOW = datetime.now(UTC).replace(microsecond=0)
MINUTE = timedelta(minutes=1)
PLAN = Plan("p", Rate(1, 1, 1), Rate(1, 1, 1), 1, "hard", 1, 1)


def ending(*windows: Brownout) -> Endpoint:
    deprecation = Deprecation(NOW - timedelta(days=30), NOW.date() + timedelta(days=30), "v2")
    return Endpoint("iris", "v1", "deprecated", "1.0.0", deprecation=deprecation, brownouts=windows)


class Scene:
    """A process at a moment, and a tenant that answers to its brownouts."""

    def __init__(self, database: Database, *windows: Brownout) -> None:
        self.database = database
        with database.write() as session:
            create_endpoint(session, ALICE, "iris", "1.0.0")
        tenant = create_tenant(database, ALICE, "acme", api_versions_by_model, models=("iris",)).tenant
        self.caller = Principal(tenant.id, "acme", "key_1", frozenset({Scope.PREDICTIONS_CREATE}), PLAN, grants={"iris": None})
        self.now = NOW
        self.endpoints = Endpoints("https://api.example.org", lambda: self.now, [ending(*windows)])
        self.sparing = Sparing(database, self.endpoints, lambda: self.now)

    def calls(self, api_version: str, number: int) -> None:
        """Answered calls of the tenant an hour ago."""
        at = int((NOW - timedelta(hours=1)).timestamp() * 1e6)
        facts: dict[str, Any] = {"at_us": at, "month": "2026-11", "process_id": "p", "tenant_id": self.caller.tenant_id, "key_id": "key_1"}
        facts |= {"model": "iris", "api_version": api_version, "model_version": "1.0.0", "engine": "onnx", "rows": 1, "status": 200}
        facts |= {"code": None, "latency_us": 100, "bytes_in": 10, "bytes_out": 10, "request_id": "req_1"}
        with self.database.write() as session:
            insert_batch(session, [UsageEvent(id=uuid7(at // 1000, secrets.randbits), **facts) for _ in range(number)])

    def refused(self) -> bool:
        try:
            self.endpoints.find(Call("req_1", 0), self.caller, Route("v1", "iris"))
        except EndpointBrownout:
            return True
        return False


def window(starts_at: datetime, id: str = "brn_1") -> Brownout:
    return Brownout(id, starts_at, starts_at + 5 * MINUTE)


def test_until_it_is_judged_nobody_is_refused_and_then_who_has_not_moved(sqlite_database: Database) -> None:
    scene = Scene(sqlite_database, window(NOW))
    assert not scene.refused()
    scene.sparing.judge()
    assert scene.refused()


def test_who_has_moved_is_spared_and_who_moves_meanwhile_within_half_a_minute(database: Database) -> None:
    scene = Scene(database, window(NOW))
    scene.calls("v1", 2)
    scene.sparing.judge()
    assert scene.refused()
    scene.calls("v2", 198)
    scene.now += timedelta(seconds=29)
    scene.sparing.judge()
    assert scene.refused()
    scene.now += timedelta(seconds=1)
    scene.sparing.judge()
    assert not scene.refused()


def test_a_window_that_is_new_is_judged_at_once(sqlite_database: Database) -> None:
    scene = Scene(sqlite_database, window(NOW))
    scene.sparing.judge()
    scene.calls("v2", 1)
    scene.endpoints.replace([ending(window(NOW, "brn_2"))])
    assert not scene.refused()
    scene.sparing.judge()
    assert not scene.refused()


def test_it_is_judged_ten_minutes_before_and_not_sooner(sqlite_database: Database) -> None:
    scene = Scene(sqlite_database, window(NOW + 10 * MINUTE))
    scene.now -= timedelta(seconds=1)
    scene.sparing.judge()
    scene.now = NOW + 10 * MINUTE
    assert not scene.refused(), "it was too early to know"
    scene.now = NOW
    scene.sparing.judge()
    scene.now = NOW + 10 * MINUTE
    assert scene.refused()


def test_while_the_database_is_gone_what_was_judged_holds(sqlite_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(sqlite_database, window(NOW))
    scene.sparing.judge()
    scene.now += MINUTE

    def gone() -> Any:
        raise ConnectionError

    monkeypatch.setattr(sqlite_database, "read", gone)
    with pytest.raises(ConnectionError):
        scene.sparing.judge()
    assert scene.refused()


def test_without_a_window_near_the_database_is_not_asked(sqlite_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    rehearsal = Brownout("brn_3", NOW, NOW + 5 * MINUTE, 100, "ten_1", "key_9")
    scene = Scene(sqlite_database, window(NOW + timedelta(hours=1)), rehearsal)

    def read() -> Any:
        raise AssertionError("it was asked")

    monkeypatch.setattr(sqlite_database, "read", read)
    scene.sparing.judge()
