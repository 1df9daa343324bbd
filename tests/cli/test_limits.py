"""`gatehouse limits show`: what a tenant may do, how far its month is used, and what observed limits would have refused."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from audit_keys import AUDIT_KEYS

from gatehouse.db.session import Database, open_database
from gatehouse.limits.month import month_of
from gatehouse.limits.standing_store import StandingStore
from gatehouse.limits.store import QuotaStore


@pytest.fixture
def tenant_id(gatehouse: Any) -> str:
    gatehouse("plans", "create", "gold", "--requests", "10/s", "--rows-mode", "observe", "--rows-per-month", "5000")
    found: str = gatehouse("tenants", "create", "acme", "--plan", "gold", "--json").json["id"]
    return found


@pytest.fixture
def database(state_dir: Path, tenant_id: str) -> Iterator[Database]:
    opened = open_database(f"sqlite:///{state_dir / 'gatehouse.db'}", AUDIT_KEYS)
    yield opened
    opened.close()


def test_limits_of_a_new_tenant_are_those_of_its_plan_and_nothing_is_used(gatehouse: Any, tenant_id: str) -> None:
    answer = gatehouse("limits", "show", "acme")
    assert [line.split()[0] for line in answer.lines[2:-1]] == [
        "tenant-requests",
        "tenant-rows",
        "key-requests",
        "key-rows",
        "tenant-month",
    ]
    assert "10/s, burst 20" in answer.lines[2]
    assert answer.lines[3].endswith("observe")
    month = month_of(datetime.now(UTC))
    assert answer.lines[-1] == f"{month.name}: 0 rows metered, 5,000 left until {month.end:%Y-%m-%d} 00:00 UTC"


def test_what_is_held_ahead_and_what_would_have_been_refused_are_shown(gatehouse: Any, tenant_id: str, database: Database) -> None:
    now = datetime.now(UTC)
    month = month_of(now)
    QuotaStore(database).take_block("p1", tenant_id, month.name, limit=5000, needed=7, shares=100, expires_at=now)
    StandingStore(database).add_observed({(tenant_id, month.name, "tenant-rows"): (3, 4000)}, now)
    answer = gatehouse("limits", "show", "acme")
    assert answer.lines[3].endswith("3 calls of 4,000 rows")
    assert answer.lines[-1].endswith("50 more are held ahead or on their way by 1 process")
    found = gatehouse("limits", "show", "acme", "--json").json
    assert found["quota"] == {
        "month": month.name,
        "rows_metered": 0,
        "rows_left": 5000,
        "rows_held": 50,
        "holders": 1,
        "warned_percent": 0,
        "resets_at": f"{month.end:%Y-%m-%dT%H:%M:%SZ}",
    }
    assert [(each["name"], each["calls"], each["rows"]) for each in found["would_have_refused"]] == [("tenant-rows", 3, 4000)]
    assert found["plan"]["rows_mode"] == "observe"


def test_keys_with_limits_of_their_own_are_shown_and_revoked_ones_are_not(gatehouse: Any, tenant_id: str) -> None:
    kept, revoked = (gatehouse("keys", "create", "--tenant", "acme", "--requests", "1/min", "--json").json["id"] for _ in range(2))
    gatehouse("keys", "revoke", revoked)
    shown = gatehouse("limits", "show", "acme")
    assert f"(key {kept})" in shown.out
    assert revoked not in shown.out
    assert [key["id"] for key in gatehouse("limits", "show", "acme", "--json").json["keys"]] == [kept]


def test_an_unknown_tenant_is_one_line(gatehouse: Any, tenant_id: str) -> None:
    assert gatehouse("limits", "show", "acm", code=1).error == "gatehouse: no tenant 'acm'; known tenants: acme; did you mean acme?\n"
