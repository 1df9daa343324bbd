"""`GET /metrics`: Prometheus's text, over all processes of a server, for a key with the scope."""

import pytest
from prometheus_client.parser import text_string_to_metric_families
from stage import IRIS_ROW, Live, Stage, instances, key_id, problem, wait_until

from gatehouse.api.metrics import SCRAPES_A_MINUTE
from gatehouse.identity.api_keys import checksum, mint_key
from gatehouse.limits.wrong_secrets import ALARM_AT
from gatehouse.principal import Plan, Rate, Scope

IRIS = {"model": "iris", "api_version": "v1"}


def sample(name: str, **labels: str) -> tuple[str, ...]:
    """What a sample is found by."""
    return (name, *(labels[label] for label in sorted(labels)))


def samples(live: Live, key: str) -> dict[tuple[str, ...], float]:
    """All that is told."""
    answer = live.get("/metrics", key)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=")
    families = text_string_to_metric_families(answer.text)
    return {sample(each.name, **each.labels): each.value for family in families for each in family.samples}


def metrics(live: Live, key: str) -> dict[str, float]:
    """Those without labels."""
    return {name: value for (name, *labels), value in samples(live, key).items() if not labels}


def calls(found: dict[tuple[str, ...], float], path: str, model: str, api_version: str, status: str, code: str) -> float:
    """How many have ended so."""
    return found[sample("gatehouse_calls_total", path=path, model=model, api_version=api_version, status=status, code=code)]


def wrong_secret(key: str) -> str:
    body = key[:22] + mint_key(b"other").text[22:-6]
    return body + checksum(body)


@pytest.fixture
def scraper(stage: Stage) -> str:
    return stage.key("_operator", scopes={Scope.METRICS_READ})


def test_every_metric_is_explained_and_ours(stage: Stage, scraper: str) -> None:
    with stage.serving() as live:
        families = list(text_string_to_metric_families(live.get("/metrics", scraper).text))
    assert len(families) > 25
    assert all(family.name.startswith("gatehouse_") for family in families), "nothing of the platform"
    assert all(family.documentation.endswith(".") for family in families)


def test_calls_rows_bytes_and_time_are_counted_once_and_exactly(stage: Stage, scraper: str) -> None:
    key = stage.tenant("acme", "iris")
    with stage.serving() as live:
        answers = [live.predict(key, instances(*[IRIS_ROW] * rows)) for rows in (1, 2, 3)]
        sent = sum(len(answer.request.content) for answer in answers)
        answered = sum(len(answer.content) for answer in answers)
        problem(live.predict(key, b"{"), 400, "invalid_json")
        problem(live.predict(key, instances(IRIS_ROW), "/v1/models/of_others/predict"), 404, "not_found")
        assert live.get("/health").status_code == 200
        found = samples(live, scraper)
    assert calls(found, "prediction", "iris", "v1", "200", "") == 3
    assert calls(found, "prediction", "iris", "v1", "400", "invalid_json") == 1
    assert calls(found, "prediction", "", "", "404", "not_found") == 1
    assert calls(found, "other", "", "", "200", "") == 1
    assert found[sample("gatehouse_prediction_rows_total", **IRIS)] == 6
    assert found[sample("gatehouse_prediction_bytes_in_total", **IRIS)] == sent + 1
    assert found[sample("gatehouse_prediction_bytes_out_total", **IRIS)] > answered
    assert found[sample("gatehouse_prediction_seconds_count", **IRIS)] == 3
    assert found[sample("gatehouse_prediction_seconds_bucket", model="iris", api_version="v1", le="+Inf")] == 3
    assert 0 < found[sample("gatehouse_prediction_seconds_sum", **IRIS)] < 30
    assert not any("of_others" in str(sample) for sample in found)


def test_what_refused_a_call_is_counted_by_its_limit(stage: Stage, scraper: str) -> None:
    stage.plan(Plan("two", Rate(1, 3600, 2), Rate(1000, 1, 1000), 1_000_000, "soft", 60, 1024 * 1024))
    key = stage.tenant("acme", "iris", plan="two")
    with stage.serving() as live:
        statuses = [live.predict(key, instances(IRIS_ROW)).status_code for _ in range(5)]
        found = samples(live, scraper)
    assert statuses == [200, 200, 429, 429, 429]
    assert sum(value for (name, *_), value in found.items() if name == "gatehouse_refusals_total") == 3
    assert found[sample("gatehouse_refusals_total", status="429", reason="tenant-requests")] == 3
    assert calls(found, "prediction", "", "", "429", "rate_limited") == 3


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


def test_row_55_scraping_has_a_limit_of_its_own_that_no_scraper_meets(stage: Stage, scraper: str) -> None:
    with stage.serving(account_requests_per_minute="1") as live:
        answers = [live.get("/metrics", scraper).status_code for _ in range(SCRAPES_A_MINUTE + 1)]
    assert answers == [200] * SCRAPES_A_MINUTE + [429]
    assert SCRAPES_A_MINUTE >= 2 * 60 / 5
