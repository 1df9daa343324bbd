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
