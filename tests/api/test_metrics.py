"""`GET /metrics`: Prometheus's text, of this process and nothing else, for a key with the scope."""

import pytest
from prometheus_client.parser import text_string_to_metric_families
from stage import IRIS_ROW, Live, Stage, instances, key_id, problem, wait_until

from gatehouse.identity.api_keys import checksum, mint_key
from gatehouse.limits.wrong_secrets import ALARM_AT
from gatehouse.principal import Scope


def metrics(live: Live, key: str) -> dict[str, float]:
    answer = live.get("/metrics", key)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=")
    samples = [sample for family in text_string_to_metric_families(answer.text) for sample in family.samples]
    assert all(not sample.labels for sample in samples)
    return {sample.name: sample.value for sample in samples}


def wrong_secret(key: str) -> str:
    body = key[:22] + mint_key(b"other").text[22:-6]
    return body + checksum(body)


@pytest.fixture
def scraper(stage: Stage) -> str:
    return stage.key("_operator", scopes={Scope.METRICS_READ})


def test_every_metric_is_named_explained_and_ours(stage: Stage, scraper: str) -> None:
    with stage.serving() as live:
        families = {family.name: family for family in text_string_to_metric_families(live.get("/metrics", scraper).text)}
    assert {name: family.type for name, family in families.items()} == {
        "gatehouse_identity_stale_seconds": "gauge",
        "gatehouse_processes": "gauge",
        "gatehouse_redis_decides": "gauge",
        "gatehouse_failed_credentials": "counter",
        "gatehouse_credentials_not_looked_up": "counter",
        "gatehouse_quota_rows_held": "gauge",
        "gatehouse_quota_refusals": "counter",
        "gatehouse_quota_unavailable": "counter",
        "gatehouse_observed_refusals": "counter",
        "gatehouse_wrong_secret_alarms": "counter",
        "gatehouse_calls_of_nobody": "counter",
        "gatehouse_connections": "gauge",
        "gatehouse_connections_ended_late": "counter",
        "gatehouse_connections_ended_for_room": "counter",
        "gatehouse_connections_refused": "counter",
        "gatehouse_usage_events_lost": "counter",
        "gatehouse_usage_backlog_bytes": "gauge",
        "gatehouse_usage_has_room": "gauge",
    }
    assert all(family.documentation.endswith(".") for family in families.values())


def test_row_14_guesses_and_their_alarm_are_counted_and_lock_nobody_out(
    stage: Stage, scraper: str, caplog: pytest.LogCaptureFixture
) -> None:
    key = stage.tenant("acme", "iris")
    guesses = [wrong_secret(key) for _ in range(ALARM_AT)]
    with stage.serving() as live:
        before = metrics(live, scraper)
        for guess in (*guesses[1:], *(mint_key(b"other").text for _ in range(ALARM_AT)), "gate_x"):
            assert live.get("/account", guess).status_code == 401
        form = {"grant_type": "client_credentials", "client_id": key_id(key), "client_secret": guesses[0]}
        assert live.client.post("/oauth/token", data=form).status_code == 401, "guessing there counts as well"
        after = metrics(live, scraper)
        assert live.predict(key, instances(IRIS_ROW)).status_code == 200
    assert before["gatehouse_failed_credentials_total"] == before["gatehouse_wrong_secret_alarms_total"] == 0
    assert after["gatehouse_failed_credentials_total"] == 2 * ALARM_AT + 1
    assert after["gatehouse_wrong_secret_alarms_total"] == 1
    alarms = [record.getMessage() for record in caplog.records if "wrong secret" in record.getMessage()]
    assert len(alarms) == 1
    assert key_id(key) in alarms[0]
    assert not any(guess[22:] in caplog.text for guess in (*guesses, key))


def test_row_55_credentials_that_a_flood_kept_from_being_looked_up_are_counted(stage: Stage, scraper: str) -> None:
    with stage.serving(failed_credentials_per_minute="2") as live:
        assert metrics(live, scraper)["gatehouse_credentials_not_looked_up_total"] == 0
        assert [live.get("/account", mint_key(b"other").text).status_code for _ in range(5)] == [401] * 2 + [429] * 3
        assert metrics(live, scraper)["gatehouse_credentials_not_looked_up_total"] == 3


def test_the_processes_and_the_age_of_what_is_known_are_told(stage: Stage, scraper: str) -> None:
    with stage.serving() as live:
        assert metrics(live, scraper)["gatehouse_processes"] == 1
        with stage.serving():
            wait_until(lambda: metrics(live, scraper)["gatehouse_processes"] == 2, 2)
        assert 0 <= metrics(live, scraper)["gatehouse_identity_stale_seconds"] < 2


def test_row_94_metrics_are_for_the_scope_alone_and_other_methods_are_none(stage: Stage, scraper: str) -> None:
    partner, reader = stage.tenant("acme", "iris"), stage.key("_operator", scopes={Scope.ADMIN_READ})
    with stage.serving() as live:
        problem(live.get("/metrics"), 401, "credential_missing")
        for key in (partner, reader):
            assert problem(live.get("/metrics", key), 403, "scope_missing")["scope"] == "metrics:read"
        problem(live.client.post("/metrics", headers={"x-api-key": scraper}), 405, "method_not_allowed")


def test_row_55_scraping_has_a_limit_of_its_own(stage: Stage, scraper: str) -> None:
    with stage.serving(account_requests_per_minute="2") as live:
        assert [live.get("/metrics", scraper).status_code for _ in range(3)] == [200, 200, 429]
