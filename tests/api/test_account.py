"""`/account`: what a tenant may know of itself, free of charge."""

from datetime import UTC, datetime, timedelta

import pytest
from stage import IRIS_ROW, Live, Stage, instances, key_id, problem, wait_until

from gatehouse.principal import DEFAULT_KEY_SCOPES, Plan, Rate


@pytest.fixture(scope="module")
def key(live: Live) -> str:
    return live.stage.tenant("acme", "iris", "line")


def test_the_account_names_tenant_key_plan_and_every_granted_endpoint_with_its_url(live: Live, key: str) -> None:
    account = live.get("/account", key).json()
    assert (account["tenant"], account["key"]["id"], account["default_model"]) == ("acme", key_id(key), "iris")
    assert account["key"]["scopes"] == sorted(DEFAULT_KEY_SCOPES)
    assert account["key"]["expires_at"] is None
    assert account["plan"]["requests"] == {"count": 100_000, "period_s": 1, "burst": 100_000}
    assert [endpoint["url"] for endpoint in account["endpoints"]] == [
        f"{live.base_url}/{version}/models/{model}/predict" for model, version in (("iris", "v1"), ("iris", "v2"), ("line", "v1"))
    ]
    for endpoint in account["endpoints"]:
        assert live.predict(key, b"{}", endpoint["url"].removeprefix(live.base_url)).status_code == 422


def test_a_keys_own_rates_and_expiry_are_shown(live: Live, key: str) -> None:
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    narrow = live.stage.key("acme", expires_at=ends, requests=Rate(7, 60, 9))
    shown = live.get("/account", narrow).json()["key"]
    assert shown["requests"] == {"count": 7, "period_s": 60, "burst": 9}
    assert datetime.fromisoformat(shown["expires_at"]) == ends


def test_a_tenant_whose_quota_is_used_up_still_reads_its_account(stage: Stage) -> None:
    stage.plan(Plan("tiny", Rate(1, 3600, 2), Rate(10, 1, 10), 2, "hard", 2, 2048))
    key = stage.tenant("acme", "iris", plan="tiny")
    with stage.serving() as live:
        assert live.predict(key, instances(IRIS_ROW, IRIS_ROW)).status_code == 200
        problem(live.predict(key, instances(IRIS_ROW)), 429, "quota_exhausted")
        problem(live.predict(key, instances(IRIS_ROW)), 429, "rate_limited")
        wait_until(lambda: live.get("/account", key).json()["rows_left"] == 0)
        assert live.get("/account/usage", key).json()["rows"] == 2


def test_the_account_is_never_metered(live: Live) -> None:
    key = live.stage.tenant("reader", "iris")
    for _ in range(5):
        assert live.get("/account", key).status_code == 200
    live.predict(key, instances(IRIS_ROW))
    wait_until(lambda: live.get("/account/usage", key).json()["calls"] == 1)


def test_usage_is_by_day_endpoint_key_and_status_within_the_days_asked_for(live: Live) -> None:
    key = live.stage.tenant("metered", "iris")
    live.predict(key, instances(IRIS_ROW, IRIS_ROW))
    live.predict(key, instances(IRIS_ROW))
    live.predict(key, b"{")
    wait_until(lambda: live.get("/account/usage", key).json()["calls"] == 3)
    usage = live.get("/account/usage", key).json()
    today = datetime.now(UTC).date()
    assert usage["until"] == today.isoformat()
    assert usage["since"] == (today - timedelta(days=30)).isoformat()
    endpoint = {"day": today.isoformat(), "key": key_id(key), "model": "iris", "api_version": "v1"}
    assert usage["usage"] == [endpoint | {"status": 200, "calls": 2, "rows": 3}, endpoint | {"status": 400, "calls": 1, "rows": 0}]
    before = live.get(f"/account/usage?until={today - timedelta(days=1)}", key).json()
    assert (before["calls"], before["rows"], before["usage"]) == (0, 0, [])


@pytest.mark.parametrize(
    "query",
    [
        "since=x",
        "since=2026-13-01",
        "since=0000-00-00",
        "since=",
        "until=10000-01-01",
        "since=2026-02-02&until=2026-02-01",
        "since=2020-01-01&until=2026-01-01",
        "since=1700000000",
        "since=2026-01-01T00:00:00Z&until=nan",
    ],
)
def test_a_span_that_cannot_be_is_422_and_names_the_parameter(live: Live, key: str, query: str) -> None:
    errors = problem(live.get(f"/account/usage?{query}", key), 422, "invalid_input")["errors"]
    assert {error["parameter"] for error in errors} <= {"since", "until"}


@pytest.mark.parametrize("query", ["until=0001-01-01", "since=0001-01-01&until=0001-01-31", "since=9999-12-31&until=9999-12-31"])
def test_the_edges_of_the_calendar_are_answered(live: Live, key: str, query: str) -> None:
    assert live.get(f"/account/usage?{query}", key).json()["calls"] == 0
