"""An endpoint that ends, on the running server: every answer to a granted caller says so, and nobody else is told that it exists."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import count

import ending_fields
import httpx2
import pytest
from stage import ACTOR, IRIS_ROW, MIXED_ROW, Live, Stage, instances, problem, wait_until
from wire import head, wire

from gatehouse.identity.tenants import named_tenant, remove_grant
from gatehouse.migration.endpoint import Deprecation
from gatehouse.migration.life_store import Step, change_life
from gatehouse.migration.transitions import Announcement, deprecated, extended, retired, undeprecated
from gatehouse.principal import Plan, Rate, Scope

TODAY = datetime.now(UTC).date()
SUNSET = TODAY + timedelta(days=200)
LONGER = TODAY + timedelta(days=300)
BODY = instances(IRIS_ROW)
V1, V2, LINE = "/v1/models/iris/predict", "/v2/models/iris/predict", "/v1/models/line/predict"
MANY, SMALL = Rate(1000, 1, 1000), Rate(1, 86_400, 4)
PLANS = (
    Plan("short", MANY, MANY, 10**6, "soft", 1000, 600),
    Plan("few-rows", MANY, SMALL, 10**6, "soft", 4, 10**6),
    Plan("little-quota", MANY, MANY, 4, "hard", 1000, 10**6),
    Plan("few-calls", Rate(1, 86_400, 1), MANY, 10**6, "soft", 1000, 10**6),
)
TENANTS = count()


def change(stage: Stage, action: str, step: Step, model: str = "iris") -> None:
    with stage.database.write() as session:
        change_life(session, ACTOR, action, model, "v1", step)


def deprecate(stage: Stage, successor: str = "v2") -> None:
    now = datetime.now(UTC)
    change(stage, "deprecate", lambda seen, all_: deprecated(seen, all_, Announcement(SUNSET, successor), now))


@pytest.fixture(scope="module")
def live(module_stage: Stage) -> Iterator[Live]:
    """iris/v1 is deprecated, line/v1 was until yesterday, mixed/v1 is retired, and iris/v2 goes on."""
    for plan in PLANS:
        module_stage.plan(plan)
    yesterday = Deprecation(datetime(2020, 1, 1, tzinfo=UTC), TODAY - timedelta(days=1), "v2", link="https://partners.example/line")
    deprecate(module_stage)
    change(module_stage, "deprecate", lambda seen, _all: replace(seen, state="deprecated", deprecation=yesterday), "line")
    change(module_stage, "retire", lambda seen, all_: retired(seen, all_, [], datetime.now(UTC), force=False), "mixed")
    with module_stage.serving() as running:
        yield running


def tenant(live: Live, *models: str, plan: str = "wide") -> str:
    return live.stage.tenant(f"t{next(TENANTS)}", *models, plan=plan)


def notices(answer: httpx2.Response) -> list[dict[str, str]]:
    """What an answer says of the endpoint's end: in the body and by all fields, or not at all."""
    said: list[dict[str, str]] = answer.json().get("notices", [])
    assert [name in answer.headers for name in ending_fields.FIELDS] == [bool(said)] * 3
    return said


def refused_by_rows(live: Live) -> httpx2.Response:
    key = tenant(live, "iris", plan="few-rows")
    assert live.predict(key, instances(*[IRIS_ROW] * 4)).status_code == 200
    return live.predict(key, BODY)


def refused_by_quota(live: Live) -> httpx2.Response:
    key = tenant(live, "iris", plan="little-quota")
    assert live.predict(key, instances(*[IRIS_ROW] * 4)).status_code == 200
    return live.predict(key, BODY)


def answered_again(live: Live) -> httpx2.Response:
    key = tenant(live, "iris")
    live.predict(key, BODY, idempotency_key="once")
    again = live.predict(key, BODY, idempotency_key="once")
    assert again.headers["idempotency-replayed"] == "true"
    return again


ANSWERS: dict[str, tuple[int, Callable[[Live], httpx2.Response]]] = {
    "records": (200, lambda live: live.predict(tenant(live, "iris"), BODY)),
    "default model": (200, lambda live: live.predict(tenant(live, "iris"), BODY, "/v1/predict")),
    "bulk": (200, lambda live: live.predict(tenant(live, "iris"), instances(*[IRIS_ROW] * 3000))),
    "repeat": (200, answered_again),
    "no json": (400, lambda live: live.predict(tenant(live, "iris"), b"{")),
    "too large": (413, lambda live: live.predict(tenant(live, "iris", plan="short"), instances(*[IRIS_ROW] * 20))),
    "no content type": (415, lambda live: live.predict(tenant(live, "iris"), BODY, content_type="text/plain")),
    "wrong input": (422, lambda live: live.predict(tenant(live, "iris"), instances({}))),
    "too many rows": (422, lambda live: live.predict(tenant(live, "iris", plan="few-rows"), instances(*[IRIS_ROW] * 5))),
    "rows": (429, refused_by_rows),
    "quota": (429, refused_by_quota),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_row_89_every_answer_from_the_endpoint_step_on_tells_a_granted_caller(live: Live, case: str) -> None:
    status, call = ANSWERS[case]
    answer = call(live)
    assert answer.status_code == status, answer.text
    successor = f"{live.base_url}/v2/models/iris"
    guide = f"{successor}/migrate-from/v1"
    assert [(said["code"], said["link"]) for said in notices(answer)] == [("endpoint_deprecated", guide)]
    assert abs(ending_fields.deprecation(answer.headers) - datetime.now(UTC)) < timedelta(hours=1)
    assert ending_fields.sunset(answer.headers) == datetime(SUNSET.year, SUNSET.month, SUNSET.day, 23, 59, 59, tzinfo=UTC)
    assert ending_fields.links(answer.headers) == {"deprecation": guide, "sunset": guide, "successor-version": f"{successor}/predict"}


def second_call_of_few(live: Live) -> httpx2.Response:
    key = tenant(live, "iris", plan="few-calls")
    assert notices(live.predict(key, BODY))
    return live.predict(key, BODY)


def without_scope(live: Live) -> httpx2.Response:
    name = f"t{next(TENANTS)}"
    live.stage.tenant(name, "iris")
    return live.predict(live.stage.key(name, scopes=frozenset({Scope.MODELS_READ})), BODY)


SILENT: dict[str, tuple[int, Callable[[Live], httpx2.Response]]] = {
    "first decision": (429, second_call_of_few),
    "not granted": (404, lambda live: live.predict(tenant(live, "crowd"), BODY)),
    "nothing granted": (404, lambda live: live.predict(tenant(live), BODY, "/v1/predict")),
    "not granted, gone": (404, lambda live: live.predict(tenant(live, "iris"), BODY, LINE)),
    "without scope": (403, without_scope),
    "nobody": (401, lambda live: live.predict("gate_nobody", BODY)),
    "by GET": (405, lambda live: live.get(V1, tenant(live, "iris"))),
    "its successor": (422, lambda live: live.predict(tenant(live, "iris"), instances({}), V2)),
}


@pytest.mark.parametrize("case", SILENT)
def test_row_89_nobody_else_and_no_other_endpoint_is_told(live: Live, case: str) -> None:
    status, call = SILENT[case]
    answer = call(live)
    assert answer.status_code == status, answer.text
    assert notices(answer) == []


def test_row_89_the_404_of_a_deprecated_and_a_retired_endpoint_is_that_of_none_at_all(live: Live) -> None:
    key = tenant(live, "crowd")

    def said(path: str) -> tuple[dict[str, str], dict[str, str]]:
        answer = live.predict(key, BODY, path)
        volatile = ("x-request-id", "ratelimit", "date")
        body = {name: value for name, value in problem(answer, 404, "not_found").items() if name != "request_id"}
        return body, {name: value for name, value in answer.headers.items() if name not in volatile}

    assert said(V1) == said(LINE) == said("/v1/models/mixed/predict") == said("/v1/models/nothing/predict")


def test_row_89_a_caller_whose_grant_goes_while_it_sends_its_body_is_told_nothing(live: Live) -> None:
    key, content = tenant(live, "iris"), json.dumps(BODY).encode()
    name = f"t{next(TENANTS) - 1}"
    fields = ("Content-Type: application/json", f"Content-Length: {len(content)}", "Expect: 100-continue")
    with wire(live.port) as connection:
        connection.send(head(f"POST {V1}", f"Authorization: Bearer {key}", *fields))
        assert connection.answer().status == 100
        remove_grant(live.stage.database, ACTOR, name, "iris")
        wait_until(lambda: live.get("/v1/models/iris", key).status_code == 404)
        answer = connection.send(content).answer()
    assert answer.status == 404
    assert "notices" not in answer.json()
    assert [answer.header(field) for field in ending_fields.FIELDS] == [None] * 3


def test_row_88_a_sunset_that_is_past_is_410_with_successor_and_guide(live: Live) -> None:
    answer = live.predict(tenant(live, "line"), instances({"size": 1}), LINE)
    said = problem(answer, 410, "endpoint_retired")
    assert said["successor"] == {"api_version": "v2", "url": f"{live.base_url}/v2/models/line/predict"}
    assert said["link"] == "https://partners.example/line"
    assert f"Call v2 instead: {live.base_url}/v2/models/line/predict" in said["detail"]
    assert [each["code"] for each in notices(answer)] == ["endpoint_retired"]
    assert ending_fields.links(answer.headers)["deprecation"] == said["link"]


def test_row_88_what_was_retired_by_hand_is_410(live: Live) -> None:
    answer = live.predict(tenant(live, "mixed"), instances(MIXED_ROW), "/v1/models/mixed/predict")
    assert problem(answer, 410, "endpoint_retired")["successor"] is None
    assert answer.headers.keys() & ending_fields.FIELDS == {"sunset"}
    assert abs(ending_fields.sunset(answer.headers) - datetime.now(UTC)) < timedelta(hours=1)


def test_models_and_account_show_the_life_of_each_endpoint(live: Live) -> None:
    key = tenant(live, "iris", "line")
    shown = {f"{each['model']}/{each['api_version']}": each for each in live.get("/account", key).json()["endpoints"]}
    iris, gone, goes_on = shown["iris/v1"], shown["line/v1"], shown["iris/v2"]
    assert (iris["lifecycle"], iris["sunset"], iris["reason"]) == ("deprecated", SUNSET.isoformat(), None)
    assert iris["successor"] == {"api_version": "v2", "url": f"{live.base_url}{V2}"}
    assert (gone["lifecycle"], gone["deprecated_at"], gone["link"]) == (
        "retired",
        "2020-01-01T00:00:00+00:00",
        "https://partners.example/line",
    )
    assert goes_on["lifecycle"] == "active"
    assert {goes_on[name] for name in ("deprecated_at", "sunset", "successor", "reason", "link")} == {None}
    assert live.get("/v1/models/iris", key).json().items() >= iris.items()


def test_row_90_openapi_marks_what_is_deprecated_and_leaves_out_what_is_gone(live: Live) -> None:
    paths = live.get("/openapi.json", tenant(live, "iris", "line", "mixed")).json()["paths"]
    predictions = {path: item["post"].get("deprecated", False) for path, item in paths.items() if path.endswith("/predict")}
    assert (predictions[V1], predictions["/v1/predict"]) == (True, True)
    assert (predictions[V2], predictions["/v2/predict"]) == (False, False)
    other = live.get("/openapi.json", tenant(live, "iris", "crowd")).json()["paths"]
    assert "deprecated" not in other["/v1/predict"]["post"], "its default model may be one that goes on"
    assert not {LINE, "/v1/models/mixed/predict"} & set(predictions)


def test_row_88_each_step_reaches_a_running_server_within_a_second(stage_on_each_database: Stage) -> None:
    stage = stage_on_each_database
    with stage.serving(load_models="lazy") as live:
        ours, theirs = stage.tenant("acme", "iris"), stage.tenant("other", "iris")
        with stage.database.read() as session:
            tenant_id = named_tenant(session, "acme").id

        def said(key: str) -> tuple[int, date | None]:
            answer = live.predict(key, BODY)
            return answer.status_code, ending_fields.sunset(answer.headers).date() if "sunset" in answer.headers else None

        assert said(ours) == (200, None)
        deprecate(stage)
        assert wait_until(lambda: said(ours) == said(theirs) == (200, SUNSET)) < 1.0
        change(stage, "extend", lambda seen, _all: extended(seen, tenant_id, "acme", LONGER, datetime.now(UTC)))
        assert wait_until(lambda: said(ours) == (200, LONGER)) < 1.0
        assert said(theirs) == (200, SUNSET)
        change(stage, "undeprecate", lambda seen, _all: undeprecated(seen))
        assert wait_until(lambda: said(ours) == said(theirs) == (200, None)) < 1.0
        past = Deprecation(datetime(2020, 1, 1, tzinfo=UTC), TODAY - timedelta(days=1), "v2")
        change(stage, "deprecate", lambda seen, _all: replace(seen, state="deprecated", deprecation=past))
        assert wait_until(lambda: said(ours) == said(theirs) == (410, past.sunset)) < 1.0
        change(stage, "extend", lambda seen, _all: extended(seen, tenant_id, "acme", LONGER, datetime.now(UTC)))
        assert wait_until(lambda: said(ours) == (200, LONGER)) < 1.0
        assert said(theirs) == (410, past.sunset)
        change(stage, "retire", lambda seen, all_: retired(seen, all_, [], datetime.now(UTC), force=True))
        assert wait_until(lambda: said(ours)[0] == 410) < 1.0
        change(stage, "undeprecate", lambda seen, _all: undeprecated(seen))  # its model is loaded anew, which takes what it takes
        states = set()
        wait_until(lambda: states.add(said(theirs)[0]) or said(ours) == said(theirs) == (200, None))  # type: ignore[func-returns-value]
        assert states <= {410, 200}, "never 503"
