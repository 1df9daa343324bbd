"""`/account/limits`: each limit and quota, what is left and when it is whole again; and what answers say near the end of a month."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlmodel import select
from stage import IRIS_ROW, WIDE, Live, Stage, instances, key_id, problem, wait_until

from gatehouse.db.tables import AuditTable
from gatehouse.limits.month import month_of
from gatehouse.principal import Plan, Rate

SLOW = Plan("slow-rates", Rate(1, 3600, 3), Rate(1, 3600, 10), 100, "hard", 10, 4096)


@pytest.fixture(scope="module")
def slow(live: Live) -> str:
    return live.stage.plan(SLOW)


def resets_at() -> str:
    return f"{month_of(datetime.now(UTC)).end:%Y-%m-%dT%H:%M:%SZ}"


def limits_by_name(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in answer["limits"]}


def test_each_limit_says_what_is_left_and_when_it_is_whole_again(live: Live, slow: str) -> None:
    key = live.stage.tenant("acme", "iris", plan=slow)
    assert live.predict(key, instances(*[IRIS_ROW] * 4)).status_code == 200
    wait_until(lambda: live.get("/account/limits", key).json()["quota"]["rows_left"] == 96)
    shown = live.get("/account/limits", key).json()
    assert (shown["tenant"], shown["key"], shown["plan"]) == ("acme", key_id(key), "slow-rates")
    found = limits_by_name(shown)
    assert list(found) == ["tenant-requests", "key-requests", "tenant-rows", "key-rows"]
    for scope in ("tenant", "key"):
        requests, rows = found[f"{scope}-requests"], found[f"{scope}-rows"]
        assert 3595 <= requests.pop("whole_in_s") <= 3600
        assert 4 * 3600 - 5 <= rows.pop("whole_in_s") <= 4 * 3600
        of = {"scope": scope, "count": 1, "period_s": 3600, "mode": "enforce"}
        assert requests == {"name": f"{scope}-requests", "unit": "requests", "burst": 3, "left": 2, **of}
        assert rows == {"name": f"{scope}-rows", "unit": "rows", "burst": 10, "left": 6, **of}
    assert shown["quota"] == {
        "name": "tenant-month",
        "scope": "tenant",
        "unit": "rows",
        "mode": "hard",
        "rows_per_month": 100,
        "rows_left": 96,
        "resets_at": resets_at(),
    }
    assert shown["call"] == {"rows": 10, "bytes": 4096}


def test_looking_takes_nothing_and_is_not_metered(live: Live, slow: str) -> None:
    key = live.stage.tenant("looker", "iris", plan=slow)
    for _ in range(12):
        shown = live.get("/account/limits", key).json()
    assert {name: each["left"] for name, each in limits_by_name(shown).items()} == {
        "tenant-requests": 3,
        "key-requests": 3,
        "tenant-rows": 10,
        "key-rows": 10,
    }
    assert live.get("/account/usage", key).json()["calls"] == 0


def test_a_key_shows_its_own_limits_and_the_tenants_that_all_keys_share(live: Live, slow: str) -> None:
    key = live.stage.tenant("several", "iris", plan=slow)
    narrow = live.stage.key("several", requests=Rate(1, 7200, 1), rows=Rate(1, 7200, 5))
    assert live.predict(key, instances(IRIS_ROW)).status_code == 200
    found = limits_by_name(live.get("/account/limits", narrow).json())
    assert [found[name]["left"] for name in found] == [2, 1, 9, 5]
    assert (found["key-requests"]["period_s"], found["key-rows"]["burst"]) == (7200, 5)


def test_a_key_with_limits_of_its_own_is_refused_by_their_name_and_the_tenants_others_are_not(live: Live, slow: str) -> None:
    key = live.stage.tenant("narrowed", "iris", plan=slow)
    narrow = live.stage.key("narrowed", requests=Rate(1, 7200, 1))
    assert live.predict(narrow, instances(IRIS_ROW)).status_code == 200
    refused = live.predict(narrow, instances(IRIS_ROW))
    facts = problem(refused, 429, "rate_limited")["limit"]
    assert 7_190_000 <= facts.pop("retry_after_ms") <= 7_200_000
    assert facts == {"name": "key-requests", "scope": "key", "unit": "requests", "count": 1, "period_s": 7200, "burst": 1}
    assert 7190 <= int(refused.headers["retry-after"]) <= 7200
    assert '"key-requests";q=1;w=7200' in refused.headers["ratelimit-policy"]
    assert '"key-requests";r=0;' in refused.headers["ratelimit"]
    assert live.predict(key, instances(IRIS_ROW)).status_code == 200


def test_an_observed_limit_refuses_nothing_and_says_so(live: Live) -> None:
    plan = live.stage.plan(replace(SLOW, name="watched", requests_mode="observe", rows_mode="observe"))
    key = live.stage.tenant("watched", "iris", plan=plan)
    answers = [live.predict(key, instances(*[IRIS_ROW] * 4)) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 5
    assert "ratelimit" not in answers[-1].headers
    found = limits_by_name(live.get("/account/limits", key).json())
    assert {each["mode"] for each in found.values()} == {"observe"}
    assert (found["tenant-requests"]["left"], found["tenant-rows"]["left"]) == (0, 2)
    assert live.app.limits.observed.totals[("watched", "tenant-requests")] == 2
    assert live.app.limits.observed.totals[("watched", "key-rows")] == 3


def test_a_quota_warns_by_an_event_and_on_the_answers_from_80_percent_on(live: Live) -> None:
    plan = live.stage.plan(replace(WIDE, name="nearly", rows_per_month=10, quota_mode="hard"))
    key = live.stage.tenant("nearly", "iris", plan=plan)
    for _ in range(2):
        assert "tenant-month" not in live.predict(key, instances(*[IRIS_ROW] * 4)).headers["ratelimit"]
    wait_until(lambda: reached(live.stage, "nearly") == [80])
    refused = live.predict(key, instances(*[IRIS_ROW] * 4))
    quota = problem(refused, 429, "quota_exhausted")["quota"]
    assert quota == {"name": "tenant-month", "scope": "tenant", "rows_per_month": 10, "rows_left": 2, "resets_at": resets_at()}
    assert '"tenant-month";r=2;t=' in refused.headers["ratelimit"]
    answered = live.predict(key, instances(IRIS_ROW))
    assert answered.status_code == 200
    assert '"tenant-month";q=10;qu="rows";w=' in answered.headers["ratelimit-policy"]
    assert '"tenant-month";r=1;t=' in answered.headers["ratelimit"]


def reached(stage: Stage, tenant: str) -> list[int]:
    with stage.database.read() as session:
        found = session.exec(select(AuditTable.detail).where(AuditTable.action == "quota.reached", AuditTable.subject == tenant))
        return [json.loads(detail)["percent"] for detail in found]


def test_a_soft_quota_answers_beyond_its_end_and_warns(live: Live) -> None:
    plan = live.stage.plan(replace(WIDE, name="softly", rows_per_month=10))
    key = live.stage.tenant("softly", "iris", plan=plan)

    def warned() -> bool:
        answer = live.predict(key, instances(*[IRIS_ROW] * 4))
        assert answer.status_code == 200
        return '"tenant-month";r=0;' in answer.headers["ratelimit"]

    wait_until(warned)
    assert live.app.limits.observed.totals[("softly", "tenant-month")] >= 1


def test_a_plan_edited_while_calls_come_holds_within_a_second_and_never_lets_more_in(stage: Stage) -> None:
    stage.plan(replace(WIDE, name="edited", rows_per_month=50, quota_mode="hard"))
    key = stage.tenant("acme", "iris", plan="edited")
    with stage.serving() as live:
        assert live.predict(key, instances(*[IRIS_ROW] * 30)).status_code == 200
        stage.edit_plan("edited", rows_per_month=40)
        wait_until(lambda: live.get("/account/limits", key).json()["quota"]["rows_per_month"] == 40, 1)
        problem(live.predict(key, instances(*[IRIS_ROW] * 11)), 429, "quota_exhausted")
        assert live.predict(key, instances(*[IRIS_ROW] * 10)).status_code == 200
        stage.edit_plan("edited", quota_mode="soft")
        wait_until(lambda: live.predict(key, instances(*[IRIS_ROW] * 5)).status_code == 200, 2)
        stage.edit_plan("edited", quota_mode="hard", rows_per_month=1000)
        wait_until(lambda: live.get("/account/limits", key).json()["quota"]["mode"] == "hard", 1)
        wait_until(lambda: live.get("/account/limits", key).json()["quota"]["rows_left"] == 955)
        problem(live.predict(key, instances(*[IRIS_ROW] * 956)), 429, "quota_exhausted")
        assert live.predict(key, instances(*[IRIS_ROW] * 955)).status_code == 200


@pytest.mark.parametrize("unit", ["requests", "rows"])
def test_a_key_that_is_allowed_0_is_refused_without_a_wait_and_its_tenant_goes_on(live: Live, unit: str) -> None:
    other = live.stage.tenant(f"zero-{unit}", "iris")
    closed = live.stage.key(f"zero-{unit}", **{unit: Rate(0, 1, 0)})
    answer = live.predict(closed, instances(IRIS_ROW))
    refused = problem(answer, 429, "rate_limited")
    assert "retry-after" not in answer.headers
    assert (refused["limit"]["name"], refused["limit"]["count"], refused["limit"]["burst"]) == (f"key-{unit}", 0, 0)
    assert limits_by_name(live.get("/account/limits", closed).json())[f"key-{unit}"]["left"] == 0
    assert live.predict(other, instances(IRIS_ROW)).status_code == 200
