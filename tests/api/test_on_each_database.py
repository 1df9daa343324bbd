"""A partner's life against the running app, once on SQLite and once on PostgreSQL."""

from collections.abc import Iterator

import pytest
from stage import IRIS_ROW, Live, Stage, instances, problem, wait_until

from gatehouse.principal import Plan, Rate


@pytest.fixture
def live(stage_on_each_database: Stage) -> Iterator[Live]:
    with stage_on_each_database.serving() as running:
        yield running


def test_changes_reach_the_running_server_within_a_second(live: Live) -> None:
    stage = live.stage
    key = stage.tenant("acme")
    problem(live.predict(key, instances(IRIS_ROW)), 404, "not_found")
    stage.grant("acme", "iris")
    assert wait_until(lambda: live.predict(key, instances(IRIS_ROW)).status_code == 200) < 1.0
    second = stage.key("acme")
    assert live.predict(second, instances(IRIS_ROW)).status_code == 200
    stage.revoke(key)
    assert wait_until(lambda: live.predict(key, instances(IRIS_ROW)).status_code == 401) < 1.0
    assert live.predict(second, instances(IRIS_ROW)).status_code == 200
    stage.suspend("acme")
    assert wait_until(lambda: live.predict(second, instances(IRIS_ROW)).status_code == 401) < 1.0


def test_answered_rows_are_read_back_by_the_tenant_alone(live: Live) -> None:
    acme, other = live.stage.tenant("acme", "iris"), live.stage.tenant("other", "iris")
    for rows in (1, 2, 3):
        assert live.predict(acme, instances(*[IRIS_ROW] * rows)).status_code == 200
    problem(live.predict(acme, instances({})), 422, "invalid_input")

    def usage(key: str) -> list[tuple[int, int, int]]:
        lines = live.get("/account/usage", key).json()["usage"]
        return sorted((line["status"], line["calls"], line["rows"]) for line in lines)

    wait_until(lambda: usage(acme) == [(200, 3, 6), (422, 1, 0)])
    assert usage(other) == []


def test_a_hard_quota_lets_in_its_last_row_and_no_more(live: Live) -> None:
    plan = live.stage.plan(Plan("small", Rate(1000, 1, 1000), Rate(1000, 1, 1000), 10, "hard", 100, 10_000))
    key = live.stage.tenant("acme", "iris", plan=plan)
    for rows in (4, 3, 2):
        assert live.predict(key, instances(*[IRIS_ROW] * rows)).status_code == 200
    document = problem(live.predict(key, instances(*[IRIS_ROW] * 2)), 429, "quota_exhausted")
    assert document["quota"]["rows_per_month"] == 10
    problem(live.predict(key, instances({})), 422, "invalid_input")
    assert live.predict(key, instances(IRIS_ROW)).status_code == 200
    refused = live.predict(key, instances(IRIS_ROW))
    problem(refused, 429, "quota_exhausted")
    assert int(refused.headers["retry-after"]) > 0
    wait_until(lambda: live.get("/account", key).json()["rows_left"] == 0)


def test_rows_held_ahead_go_back_when_the_server_stops(stage_on_each_database: Stage) -> None:
    stage = stage_on_each_database
    plan = stage.plan(Plan("small", Rate(1000, 1, 1000), Rate(1000, 1, 1000), 100, "hard", 100, 10_000))
    key = stage.tenant("acme", "iris", plan=plan)
    for left in (97, 94, 91):
        with stage.serving() as live:
            assert live.predict(key, instances(*[IRIS_ROW] * 3)).status_code == 200
        with stage.serving() as live:
            assert live.get("/account", key).json()["rows_left"] == left
    with stage.serving() as live:
        assert live.predict(key, instances(*[IRIS_ROW] * 91)).status_code == 200
        problem(live.predict(key, instances(IRIS_ROW)), 429, "quota_exhausted")


def test_a_token_predicts_and_dies_with_its_key(live: Live) -> None:
    key = live.stage.tenant("acme", "iris")
    form = {"grant_type": "client_credentials", "client_id": key.split("_")[1], "client_secret": key}
    token = live.client.post("/oauth/token", data=form).json()["access_token"]
    assert live.predict(token, instances(IRIS_ROW)).status_code == 200
    live.stage.revoke(key)
    assert wait_until(lambda: live.predict(token, instances(IRIS_ROW)).status_code == 401) < 1.0
