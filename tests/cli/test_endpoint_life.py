"""`gatehouse endpoints deprecate | undeprecate | extend | retire`: what is said, what is refused, and who still calls."""

import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from audit_keys import AUDIT_KEYS
from stage import ACTOR

from gatehouse.db.session import open_database
from gatehouse.migration.endpoint import Deprecation
from gatehouse.migration.life_store import change_life
from gatehouse.usage.event import UsageEvent, uuid7
from gatehouse.usage.store import insert_batch

TODAY = datetime.now(UTC).date()
SUNSET, LONGER = TODAY + timedelta(days=200), TODAY + timedelta(days=300)
DEPRECATE = ("endpoints", "deprecate", "iris", "v1", "--sunset", str(SUNSET), "--successor", "v2")


@pytest.fixture
def iris(two_versions: Any) -> Any:
    """A deployment with iris v1 and v2, which acme may call."""
    return two_versions


def call(state_dir: Path, gatehouse: Any, tenant: str, status: int, days_ago: float, api_version: str = "v1") -> str:
    """A call that iris answered, as the recorder writes it down. Returns its hour."""
    moment = datetime.now(UTC) - timedelta(days=days_ago)
    at = int(moment.timestamp() * 1e6)
    found = {each["name"]: each["id"] for each in gatehouse("tenants", "list", "--json").json}
    event = UsageEvent(
        id=uuid7(at // 1000, secrets.randbits),
        at_us=at,
        month=f"{moment:%Y-%m}",
        process_id="p",
        tenant_id=found[tenant],
        key_id="k1",
        model="iris",
        api_version=api_version,
        model_version="1.0.0",
        engine="onnx",
        rows=1 if status == 200 else 0,
        status=status,
        code=None,
        latency_us=100,
        bytes_in=10,
        bytes_out=10,
        request_id="req_1",
    )
    database = open_database(f"sqlite:///{state_dir / 'gatehouse.db'}", AUDIT_KEYS)
    with database.write() as session:
        insert_batch(session, [event])
    database.close()
    return f"{moment:%Y-%m-%d %H}:00 UTC"


def test_a_life_from_deprecation_to_retirement_and_back(iris: Any) -> None:
    told = f"iris/v1 is deprecated and answers until the end of {SUNSET} (UTC); callers are told to move to v2"
    back = "to take it back: gatehouse endpoints undeprecate iris v1"
    assert iris(*DEPRECATE, "--reason", "new features").lines == [told, back]
    longer = f"acme may call it until the end of {LONGER} (UTC)"
    assert iris("endpoints", "extend", "iris", "v1", "--tenant", "acme", "--until", str(LONGER)).lines == [told, longer, back]
    shown = iris("endpoints", "show", "iris", "v1", "--json").json
    assert (shown["state"], shown["sunset"], shown["successor"], shown["reason"]) == ("deprecated", str(SUNSET), "v2", "new features")
    assert shown["extensions"] == {"acme": str(LONGER)}
    assert iris("endpoints", "show", "iris", "v1").lines[:3] == [told, longer, back]
    assert str(SUNSET) in iris("endpoints", "list").out
    assert f"acme was given until {LONGER}" in iris("endpoints", "retire", "iris", "v1", code=1).error
    gone = f"iris/v1 is retired since {datetime.now(UTC).date()}: calls are answered with 410 and name v2 instead"
    assert iris("endpoints", "retire", "iris", "v1", "--force").lines[0] == gone
    assert iris("endpoints", "undeprecate", "iris", "v1").lines == ["iris/v1 is active, with no end announced"]
    assert iris("endpoints", "show", "iris", "v1", "--json").json["extensions"] == {}


def test_a_sunset_that_is_past_is_shown_as_retired_everywhere(iris: Any, state_dir: Path) -> None:
    yesterday = TODAY - timedelta(days=1)
    past = Deprecation(datetime(2020, 1, 1, tzinfo=UTC), yesterday, "v2")
    database = open_database(f"sqlite:///{state_dir / 'gatehouse.db'}", AUDIT_KEYS)
    with database.write() as session:
        change_life(session, ACTOR, "deprecate", "iris", "v1", lambda seen, _all: replace(seen, state="deprecated", deprecation=past))
    database.close()
    said = iris("endpoints", "show", "iris", "v1").lines
    assert said[0] == f"iris/v1 is retired since {yesterday}: calls are answered with 410 and name v2 instead"
    assert [each["state"] for each in iris("endpoints", "list", "--json").json] == ["retired", "active"]
    (model,) = iris("models", "list", "--json").json
    assert [each["state"] for each in model["endpoints"]] == ["retired", "active"]
    assert "v1 retired, serves 1.0.0" in iris("models", "list").out
    status = iris("status", "--json", code=1).json
    assert [each["state"] for each in status["endpoints"]] == ["retired", "active"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--sunset", "2026-01-01"), "a sunset on 2026-01-01 is past; today is "),
        (("--successor", "v3"), "no endpoint 'iris/v3'; known endpoints: iris/v1, iris/v2"),
        (("--successor", "v1"), "iris/v1 is no later version than iris/v1"),
        (("--link", "partners.example"), "a link is an http(s) address"),
        (("--reason", "x" * 201), "a reason is one line"),
    ],
)
def test_a_deprecation_that_cannot_be_is_refused(iris: Any, more: tuple[str, ...], said: str) -> None:
    assert said in iris(*DEPRECATE, *more, code=1).error
    assert iris("endpoints", "show", "iris", "v1", "--json").json["state"] == "active"


@pytest.mark.parametrize("sunset", ["tomorrow", "2027-06-31", "2027-06-30T12:00:00Z", ""])
def test_a_sunset_is_a_day(iris: Any, sunset: str) -> None:
    assert "write a day as 2027-06-30" in iris(*DEPRECATE, "--sunset", sunset, code=2).error


def test_an_extension_is_for_a_tenant_that_may_call_the_endpoint(iris: Any) -> None:
    iris(*DEPRECATE)
    extend = ("endpoints", "extend", "iris", "v1", "--until", str(LONGER), "--tenant")
    iris("tenants", "create", "demo")
    refused = iris(*extend, "demo", code=1).error
    assert "demo may not call iris/v1 at all: gatehouse grants add demo iris --api-version v1" in refused
    assert "no tenant 'acne'" in iris(*extend, "acne", code=1).error
    iris("grants", "add", "demo", "iris", "--api-version", "v2")
    assert "may not call iris/v1" in iris(*extend, "demo", code=1).error
    iris("grants", "add", "demo", "iris", "--api-version", "v1")
    assert f"demo may call it until the end of {LONGER} (UTC)" in iris(*extend, "demo").out


def test_retire_is_refused_while_there_were_calls_in_the_last_seven_days(iris: Any, state_dir: Path) -> None:
    iris("tenants", "create", "demo", "--models", "iris")
    calls = (("acme", 200, 6.9), ("acme", 422, 0.5), ("demo", 200, 0), ("demo", 410, 0), ("demo", 200, 8))
    hours = [call(state_dir, iris, *each) for each in calls]
    error = iris("endpoints", "retire", "iris", "v1", code=1).error
    assert f"acme: 2 calls in the last 7 days, the last in the hour from {hours[1]}" in error
    assert f"demo: 1 call in the last 7 days, the last in the hour from {hours[2]}" in error
    assert "gatehouse endpoints retire iris v1 --force" in error
    assert iris("endpoints", "show", "iris", "v1", "--json").json["state"] == "active"
    assert iris("endpoints", "retire", "iris", "v1", "--force", "--json").json["state"] == "retired"


def test_calls_long_ago_of_another_version_or_of_what_is_gone_do_not_keep_an_endpoint(iris: Any, state_dir: Path) -> None:
    call(state_dir, iris, "acme", 200, 7.1)
    call(state_dir, iris, "acme", 410, 0)
    call(state_dir, iris, "acme", 200, 0, "v2")
    assert iris("endpoints", "retire", "iris", "v1", "--json").json["state"] == "retired"


def test_an_extension_is_taken_back(iris: Any) -> None:
    iris(*DEPRECATE)
    iris("endpoints", "extend", "iris", "v1", "--tenant", "acme", "--until", str(LONGER))
    back = ("endpoints", "unextend", "iris", "v1", "--tenant", "acme")
    assert iris(*back, "--json").json["extensions"] == {}
    assert "iris/v1 is not extended for 'acme'; it is for nobody" in iris(*back, code=1).error
