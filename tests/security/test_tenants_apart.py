"""One tenant sees nothing of another's, and an answer holds only what is on its list."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from stage import IRIS_ROW, Live, Stage, instances, key_id, problem, wait_until
from wire import Wire, post, wire

from gatehouse.principal import TENANT_SCOPES, Scope

GOOD = json.dumps(instances(IRIS_ROW)).encode()
FEATURE = {
    "name",
    "type",
    "unit",
    "minimum",
    "maximum",
    "description",
    "example",
    "required",
    "nullable",
    "allowed",
    "max_length",
    "default",
}
LIFE = {"lifecycle", "deprecated_at", "sunset", "successor", "reason", "link", "brownouts"}
SUMMARY = {"model", "api_version", "model_version", "bridged", "url"} | LIFE
RATE = {"count", "period_s", "burst"}


@pytest.fixture(scope="module")
def live(module_stage: Stage) -> Iterator[Live]:
    with module_stage.serving() as running:
        yield running


@pytest.fixture(scope="module")
def acme(live: Live) -> str:
    return live.stage.tenant("acme", "iris")


@pytest.fixture(scope="module")
def other(live: Live) -> str:
    return live.stage.tenant("other", "iris", "line", "mixed")


def without_id(answer: Any) -> tuple[int, str, dict[str, str]]:
    """Status, body and headers without what differs from call to call."""
    request_id = answer.headers["x-request-id"]
    volatile = ("x-request-id", "date", "ratelimit", "content-length")
    headers = {name: value for name, value in answer.headers.items() if name not in volatile}
    return answer.status_code, answer.text.replace(request_id, "ID"), headers


@pytest.mark.parametrize("path", ["/v1/models/{}/predict", "/v2/models/{}/predict", "/v1/models/{}", "/v2/models/{}"])
def test_rows_41_and_46_anothers_ungranted_and_unknown_models_are_the_same_404(live: Live, acme: str, other: str, path: str) -> None:
    assert live.predict(other, instances({"size": 1}), "/v1/models/line/predict").status_code == 200
    answers = [
        live.predict(acme, GOOD, path.format(model)) if path.endswith("predict") else live.get(path.format(model), acme)
        for model in ("line", "mixed", "slow", "unknown", "a", "zzz_9")
    ]
    problem(answers[0], 404, "not_found")
    assert len({repr(without_id(answer)) for answer in answers}) == 1


def test_row_41_an_api_version_that_is_not_granted_is_like_an_unknown_one(live: Live) -> None:
    key = live.stage.tenant("first_version_only".replace("_", "-"))
    live.stage.grant("first-version-only", "iris", "v1")
    assert live.predict(key, GOOD).status_code == 200
    refusals = [live.predict(key, GOOD, f"/{version}/models/iris/predict") for version in ("v2", "v3", "v999")]
    assert {without_id(answer)[:2] for answer in refusals} == {without_id(refusals[0])[:2]}
    problem(refusals[0], 404, "not_found")
    assert live.get("/v2/models", key).json() == {"models": []}


def test_row_41_a_tenant_without_a_grant_gets_a_404_and_no_default_model(live: Live) -> None:
    key = live.stage.tenant("nothing-yet")
    problem(live.predict(key, GOOD, "/v1/predict"), 404, "not_found")
    assert live.get("/v1/models", key).json() == {"models": []}
    assert live.get("/account", key).json()["endpoints"] == []


def test_row_46_what_is_listed_is_just_what_can_be_called(live: Live, acme: str, other: str) -> None:
    for key in (acme, other):
        listed = {(entry["model"], entry["api_version"]) for entry in live.get("/account", key).json()["endpoints"]}
        by_version = {
            (entry["model"], version) for version in ("v1", "v2") for entry in live.get(f"/{version}/models", key).json()["models"]
        }
        callable_ones = {
            (model, version)
            for model in ("iris", "line", "mixed", "slow", "fragile")
            for version in ("v1", "v2")
            if live.predict(key, b"{}", f"/{version}/models/{model}/predict").status_code == 422
        }
        assert listed == by_version == callable_ones


def test_row_41_usage_and_account_show_the_own_tenant_only(live: Live, acme: str, other: str) -> None:
    second = live.stage.key("acme")
    for key in (acme, second, other):
        assert live.predict(key, GOOD).status_code == 200
    wait_until(lambda: {line["key"] for line in live.get("/account/usage", acme).json()["usage"]} == {key_id(acme), key_id(second)})
    for path in ("/account", "/account/usage", f"/account/usage?tenant=other&tenant_id=other&key={key_id(other)}"):
        text = live.get(path, acme).text
        assert key_id(other) not in text
        assert '"other"' not in text


def test_row_42_ids_cannot_be_counted(live: Live) -> None:
    ids = [key_id(live.stage.key("acme")) if n else key_id(live.stage.tenant("counted")) for n in range(20)]
    assert all(re.fullmatch(r"[0-9A-Za-z]{16}", each) for each in ids)
    assert len({each[:4] for each in ids}) == 20
    request_ids = [live.get("/health").headers["x-request-id"] for _ in range(20)]
    assert all(re.fullmatch(r"req_[0-9a-f]{24}", each) for each in request_ids)
    assert len({each[:10] for each in request_ids}) == 20


@pytest.mark.parametrize(
    "header",
    ["X-Tenant", "X-Tenant-Id", "X-Forwarded-User", "X-Model-Version", "X-Original-URL", "X-Rewrite-URL", "X-HTTP-Method-Override"],
)
def test_row_44_no_header_changes_who_is_calling_or_what_is_called(live: Live, acme: str, other: str, header: str) -> None:
    for value in ("other", "/v1/models/line/predict", "GET", "9.9.9"):
        answer = live.predict(acme, GOOD, **{header: value})
        assert (answer.status_code, answer.json()["model"]) == (200, "iris")
        account = live.client.get("/account", headers={"authorization": f"Bearer {acme}", header: value})
        assert account.json()["tenant"] == "acme"


def check_keys(value: dict[str, Any], allowed: set[str], *, all_of_them: bool = True) -> None:
    assert set(value) == allowed if all_of_them else set(value) <= allowed, set(value) ^ allowed


def test_row_45_the_account_holds_just_the_fields_of_its_list(live: Live, acme: str) -> None:
    account = live.get("/account", acme).json()
    check_keys(account, {"tenant", "key", "plan", "rows_left", "default_model", "endpoints"})
    check_keys(account["key"], {"id", "scopes", "expires_at", "requests", "rows"})
    check_keys(account["plan"], {"name", "requests", "rows", "rows_per_month", "quota", "rows_per_call", "bytes_per_call"})
    check_keys(account["plan"]["requests"], RATE)
    for endpoint in account["endpoints"]:
        check_keys(endpoint, SUMMARY)
    live.predict(acme, GOOD)
    wait_until(lambda: live.get("/account/usage", acme).json()["usage"])
    usage = live.get("/account/usage", acme).json()
    sums = {"calls", "rows", "bytes_in", "bytes_out"}
    check_keys(usage, {"tenant", "since", "until", *sums, "usage", "refused"})
    for line in usage["usage"]:
        check_keys(line, {"day", "key", "model", "api_version", "status", *sums})


def test_row_45_models_and_predictions_hold_just_the_fields_of_their_lists(live: Live, other: str) -> None:
    check_keys(live.get("/v1/models", other).json(), {"models"})
    for entry in live.get("/v1/models", other).json()["models"]:
        check_keys(entry, SUMMARY)
        shown = live.get(f"/v1/models/{entry['model']}", other).json()
        check_keys(shown, SUMMARY | {"contract"})
        check_keys(shown["contract"], CONTRACT, all_of_them=False)
        for feature in shown["contract"]["features"]:
            check_keys(feature, FEATURE, all_of_them=False)
    answer = live.predict(other, GOOD).json()
    check_keys(answer, {"model", "model_version", "api_version", "request_id", "predictions"})
    check_keys(answer["predictions"][0], {"label", "confidence", "probabilities"})
    check_keys(answer["predictions"][0]["probabilities"], {"setosa", "versicolor", "virginica"})
    check_keys(live.predict(other, instances({"size": 1}), "/v1/models/line/predict").json()["predictions"][0], {"value"})


CONTRACT = {"features", "output"}


def test_row_45_health_says_one_word_to_a_partner(live: Live, acme: str) -> None:
    for path in ("/health", "/health/live", "/health/ready"):
        for key in (None, acme):
            check_keys(live.get(path, key).json(), {"status"})


@pytest.mark.parametrize("scope", sorted(TENANT_SCOPES))
def test_row_39_each_route_needs_its_own_scope(live: Live, acme: str, scope: Scope) -> None:
    needed = {
        ("POST", "/v1/models/iris/predict"): Scope.PREDICTIONS_CREATE,
        ("POST", "/v1/predict"): Scope.PREDICTIONS_CREATE,
        ("GET", "/v1/models"): Scope.MODELS_READ,
        ("GET", "/v1/models/iris"): Scope.MODELS_READ,
        ("GET", "/v2/models/iris/migrate-from/v1"): Scope.MODELS_READ,
        ("POST", "/v2/models/iris/translate"): Scope.PREDICTIONS_CREATE,
        ("GET", "/account"): Scope.ACCOUNT_READ,
        ("GET", "/account/usage"): Scope.USAGE_READ,
    }
    key = live.stage.key("acme", scopes={scope})
    for (method, path), need in needed.items():
        answer = live.predict(key, GOOD, path) if method == "POST" else live.get(path, key)
        assert answer.status_code == (200 if need == scope else 403), (path, answer.text)
        if answer.status_code == 403:
            assert problem(answer, 403, "scope_missing")["scope"] == need


def test_row_103_a_hundred_pipelined_calls_keep_their_identity_and_order(live: Live, acme: str, other: str) -> None:
    sent: list[tuple[str, bool]] = []
    requests = []
    for n in range(100):
        mine = n % 3 == 0
        sent.append((f"pipelined-{n:03}", mine))
        requests.append(
            post(
                acme if mine else other, b'{"instances":[{"size":%d}]}' % n, f"X-Request-Id: {sent[-1][0]}", path="/v1/models/line/predict"
            )
        )
    with wire(live.port) as connection:
        connection.send(*requests)
        for n, (request_id, mine) in enumerate(sent):
            answer = connection.answer()
            assert answer.header("x-request-id") == request_id == answer.json()["request_id"]
            assert answer.status == (404 if mine else 200), n
            if not mine:
                assert answer.json()["predictions"] == [{"value": float(n)}]


def test_row_103_two_credentials_on_one_connection_do_not_mix(live: Live, acme: str) -> None:
    connection = Wire(live.port)
    for key, status in ((acme, 200), (None, 401), (acme, 200), ("gate_wrong", 401), (acme, 200)):
        assert connection.send(post(key, GOOD)).answer().status == status
    connection.close()
