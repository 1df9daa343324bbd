"""`POST /v2/models/iris/translate` on the running server: a v1 body becomes a v2 body that is answered alike, and costs nothing."""

import json
import threading
from collections.abc import Iterator
from itertools import count
from typing import Any

import httpx2
import pytest
from stage import IRIS_ROW, Live, Stage, instances, problem, wait_until
from wire import head, wire

from gatehouse.principal import Plan, Rate, Scope

PATH = "/v2/models/iris/translate"
V2 = "/v2/models/iris/predict"
V2_ROW = {"sepal_length_mm": 52, "sepal_width_mm": 36, "petal_length_mm": 15, "petal_width_mm": 3}
COLUMNS = {"columns": ["petal_width", "sepal_length", "sepal_width", "petal_length"], "data": [[0.3, 5.2, 3.6, 1.5]]}
MANY = Rate(1000, 1, 1000)
SMALL = Plan("small-calls", MANY, MANY, 10, "hard", 3, 20_000)
TENANTS = count()


@pytest.fixture(scope="module")
def live(module_stage: Stage) -> Iterator[Live]:
    module_stage.plan(SMALL)
    with module_stage.serving() as running:
        yield running


def tenant(live: Live, *models: str, plan: str = "wide") -> str:
    return live.stage.tenant(f"t{next(TENANTS)}", *models, plan=plan)


@pytest.fixture(scope="module")
def key(live: Live) -> str:
    return tenant(live, "iris")


def translate(live: Live, key: str, body: Any, path: str = PATH, **headers: str) -> httpx2.Response:
    return live.predict(key, body, path, **headers)


def test_records_become_records_and_columns_columns_that_the_newer_version_answers(live: Live, key: str) -> None:
    records, columns = translate(live, key, instances(IRIS_ROW)), translate(live, key, COLUMNS)
    assert (records.status_code, records.json()) == (200, instances(V2_ROW))
    assert columns.json() == {"columns": list(V2_ROW), "data": [list(V2_ROW.values())]}
    answers = [live.predict(key, body, V2).json()["predictions"] for body in (records.content, columns.content, instances(V2_ROW))]
    assert answers[0] == answers[1] == answers[2]


def test_outputs_are_translated_where_there_is_one_of_that_kind(live: Live, key: str) -> None:
    assert translate(live, key, instances(IRIS_ROW) | {"outputs": ["label"]}).json() == instances(V2_ROW) | {"outputs": ["label"]}


def test_the_older_version_may_be_named(live: Live, key: str) -> None:
    assert translate(live, key, instances(IRIS_ROW), PATH + "?from=v1").json() == instances(V2_ROW)
    problem(translate(live, key, instances(IRIS_ROW), PATH + "?from=v2"), 404, "not_found")
    assert problem(translate(live, key, instances(IRIS_ROW), PATH + "?from=1"), 422, "invalid_input")["errors"][0]["parameter"] == "from"


@pytest.mark.parametrize(
    ("body", "status", "code", "pointer"),
    [
        (b"{", 400, "invalid_json", None),
        (b"", 400, "invalid_json", None),
        (b'{"instances": [{"sepal_length": NaN}]}', 400, "invalid_json", None),
        (instances({**IRIS_ROW, "sepal_length": 99}), 422, "invalid_input", "/instances/0/sepal_length"),
        (instances(V2_ROW), 422, "invalid_input", "/instances/0/sepal_length"),
        (COLUMNS | {"data": [[0.3, 5.2, 3.6, 99]]}, 422, "invalid_input", "/data/0/3"),
        (instances(IRIS_ROW) | {"outputs": ["value"]}, 422, "invalid_input", "/outputs/0"),
        ({"features": [1]}, 422, "invalid_input", ""),
    ],
)
def test_rows_65_to_72_it_is_as_strict_as_the_older_version_itself(
    live: Live, key: str, body: Any, status: int, code: str, pointer: str | None
) -> None:
    said = problem(translate(live, key, body), status, code)
    assert pointer is None or pointer in [error["pointer"] for error in said["errors"]]
    own = problem(live.predict(key, body), status, code)
    assert {**own, "request_id": ""} == {**said, "request_id": ""}


def test_another_content_type_is_415(live: Live, key: str) -> None:
    problem(translate(live, key, b"{}", content_type="text/plain"), 415, "unsupported_media_type")
    problem(translate(live, key, b"{}", content_encoding="gzip"), 415, "unsupported_media_type")


def test_rows_50_and_54_the_plans_rows_and_bytes_of_a_call_hold(live: Live) -> None:
    small = tenant(live, "iris", plan="small-calls")
    assert translate(live, small, instances(*[IRIS_ROW] * 3)).status_code == 200
    said = problem(translate(live, small, instances(*[IRIS_ROW] * 4)), 422, "invalid_input")
    assert said["errors"] == [
        {
            "pointer": "/instances",
            "code": "too_many_rows",
            "detail": "must hold at most 3 rows; split them over several calls",
            "maximum": 3,
        }
    ]
    problem(translate(live, small, b" " * 20_001), 413, "body_too_large")
    assert translate(live, small, json.dumps(instances(IRIS_ROW)).encode() + b" " * 19_000).status_code == 200, (
        "more than other routes take"
    )


def test_row_54_a_body_that_would_grow_beyond_the_plans_bytes_of_a_call_is_refused(live: Live) -> None:
    body = json.dumps(instances(*[IRIS_ROW] * 3), separators=(",", ":")).encode()
    plan = live.stage.plan(Plan("no-room", MANY, MANY, 10, "hard", 3, len(body) + 10))
    said = problem(translate(live, tenant(live, "iris", plan=plan), body), 413, "body_too_large")
    assert said["detail"] == f"The body for v2 would have more than the {len(body) + 10} bytes that one call may have."


def test_row_50_a_declared_size_is_refused_before_the_first_byte_is_read(live: Live) -> None:
    small = tenant(live, "iris", plan="small-calls")
    fields = (f"Authorization: Bearer {small}", "Content-Type: application/json", "Content-Length: 10737418240")
    with wire(live.port) as connection:
        assert connection.send(head(f"POST {PATH}", *fields)).answer().status == 413


@pytest.mark.parametrize(
    ("scopes", "model", "content_type", "status"),
    [
        ({Scope.MODELS_READ}, "iris", "application/json", 403),
        ({Scope.PREDICTIONS_CREATE}, "line", "application/json", 404),
        ({Scope.PREDICTIONS_CREATE}, "iris", "text/plain", 415),
    ],
)
def test_row_50_who_is_refused_is_so_before_the_first_byte_is_read(
    live: Live, scopes: set[Scope], model: str, content_type: str, status: int
) -> None:
    name = f"t{next(TENANTS)}"
    live.stage.tenant(name, model)
    caller = live.stage.key(name, scopes=scopes)
    fields = (f"Authorization: Bearer {caller}", f"Content-Type: {content_type}", "Content-Length: 1000", "Expect: 100-continue")
    with wire(live.port, timeout=3) as connection:
        assert connection.send(head(f"POST {PATH}", *fields)).answer().status == status


def test_it_takes_nothing_of_quota_and_rates_and_is_no_usage(live: Live) -> None:
    small = tenant(live, "iris", plan="small-calls")
    for _ in range(8):
        assert translate(live, small, instances(*[IRIS_ROW] * 3)).status_code == 200
    limits = live.get("/account/limits", small).json()
    assert live.predict(small, instances(V2_ROW), V2).status_code == 200
    assert limits["quota"]["rows_left"] == 10
    wait_until(lambda: live.get("/account/usage", small).json()["calls"] == 1)


def test_row_39_it_needs_the_scope_of_predictions(live: Live) -> None:
    name = f"t{next(TENANTS)}"
    live.stage.tenant(name, "iris")
    reader = live.stage.key(name, scopes={Scope.MODELS_READ})
    assert problem(translate(live, reader, instances(IRIS_ROW)), 403, "scope_missing")["scope"] == "predictions:create"


def test_rows_41_and_46_it_is_for_those_who_may_call_one_of_the_two_and_unknown_to_others(live: Live) -> None:
    for version in ("v1", "v2"):
        name = f"t{next(TENANTS)}"
        caller = live.stage.tenant(name)
        live.stage.grant(name, "iris", version)
        assert translate(live, caller, instances(IRIS_ROW)).json() == instances(V2_ROW)
    other = tenant(live, "line")
    paths = (PATH, PATH + "?from=v1", "/v2/models/unknown/translate", "/v1/models/line/translate", "/v3/models/iris/translate")
    answers = [translate(live, other, instances(IRIS_ROW), path) for path in paths]
    assert {problem(answer, 404, "not_found")["detail"] for answer in answers} == {
        problem(live.get("/nothing", other), 404, "not_found")["detail"]
    }
    assert len({answer.text.replace(answer.headers["x-request-id"], "") for answer in answers}) == 1


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_another_method_is_405(live: Live, key: str, method: str) -> None:
    answer = live.client.request(method, PATH, headers={"x-api-key": key})
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


def test_a_large_body_is_translated_whole_and_goes_out_as_it_is_measured(live: Live, key: str) -> None:
    rows = [[round(0.1 + n % 90 / 10, 1), 5.2, 3.6, 1.5] for n in range(20_000)]
    answer = translate(live, key, COLUMNS | {"data": rows})
    assert int(answer.headers["content-length"]) == len(answer.content) > 250_000
    told = answer.json()
    assert (told["columns"], len(told["data"])) == (list(V2_ROW), 20_000)
    assert [row[3] for row in told["data"]] == [row[0] * 10 for row in rows]


def test_row_63_health_answers_while_the_largest_legal_body_is_translated(live: Live, key: str) -> None:
    body = json.dumps(COLUMNS | {"data": COLUMNS["data"] * 100_000}).encode()
    answers: list[httpx2.Response] = []
    translation = threading.Thread(target=lambda: answers.append(translate(live, key, body)))
    translation.start()
    answered = 0
    while translation.is_alive():
        assert live.get("/health").status_code == 200
        answered += translation.is_alive()
    assert [answer.status_code for answer in answers] == [200]
    assert answered > 1
