"""The OpenAPI document as the running server gives it."""

import json
import re
from typing import Any

import jsonschema_rs
import pytest
from fastapi.routing import iter_route_contexts
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR
from stage import IRIS_ROW, Live, Stage, instances

from gatehouse.api.openapi_predictions import API_VERSIONS
from gatehouse.api.paths import PREDICTION_PATHS
from gatehouse.api.undeclared import refuse_undeclared
from gatehouse.principal import TENANT_SCOPES, Scope


def test_row_94_with_a_key_it_holds_the_contracts_of_granted_endpoints_and_without_one_no_model(live: Live) -> None:
    key = live.stage.tenant("reader", "iris")

    with_key, without = live.get("/openapi.json", key), live.get("/openapi.json")

    assert "/v1/models/iris/predict" in with_key.json()["paths"]
    for model in ("breast_cancer", "diabetes", "mixed"):
        assert model not in with_key.text
        assert model not in without.text
    assert "iris" not in without.text


@pytest.mark.parametrize("docs", ["key", "open"])
def test_row_94_what_is_under_admin_is_shown_only_to_who_may_read_there(stage: Stage, docs: str) -> None:
    lead = stage.tenant("acme", "iris") and stage.key("acme", scopes=TENANT_SCOPES)
    others = frozenset(Scope) - {Scope.ADMIN_READ, Scope.ADMIN_WRITE}
    with stage.serving(docs=docs) as live:
        shown = {name: live.get("/openapi.json", key) for name, key in (("nobody", None), ("lead", lead))}
        shown["operator without it"] = live.get("/openapi.json", stage.key("_operator", scopes=others))
        whole = live.get("/openapi.json", stage.key("_operator", scopes=frozenset(Scope))).json()
    operated = {path for path in whole["paths"] if path.startswith("/admin")}
    assert operated
    for name, answer in shown.items():
        document = answer.json()
        OPENAPI_31_VALIDATOR.validate(document)
        assert not [path for path in document["paths"] if "admin" in path], name
        assert set(whole["paths"]) - set(document["paths"]) >= operated
        assert dangling(document) == [], name
        hidden = set(whole["components"]["schemas"]) - set(document["components"]["schemas"])
        assert hidden >= {name for name in whole["components"]["schemas"] if name.startswith("Plan")} != set()


@pytest.mark.endpoints("iris v1", "mixed v1")
@pytest.mark.parametrize(
    ("docs", "said"),
    [
        ("key", "the reference then shows the models that you may call, with"),
        ("open", "This page shows every model of this server; your key may call those of `GET /v1/models`."),
    ],
)
def test_the_description_says_which_models_the_page_shows_and_where_the_key_goes(stage: Stage, docs: str, said: str) -> None:
    key = stage.tenant("some", "iris")
    with stage.serving(docs=docs) as live:
        document = live.get("/openapi.json", key).json()

    assert said in document["info"]["description"]
    assert ("/v1/models/mixed/predict" in document["paths"]) == (docs == "open")
    assert "paste your API key into the first field" in document["info"]["description"]
    assert document["components"]["securitySchemes"]["bearer"]["description"].endswith("Use this field.")


NEEDS = {
    Scope.MODELS_READ: {"get /{api_version}/models", "get /{api_version}/models/{model}"},
    Scope.ACCOUNT_READ: {"get /account", "get /account/limits"},
    Scope.USAGE_READ: {"get /account/usage", "get /account/migration"},
    Scope.KEYS_MANAGE: {"get /account/keys", "post /account/keys", "patch /account/keys/{key_id}"},
    Scope.METRICS_READ: {"get /metrics"},
    Scope.ADMIN_READ: {"get /admin/tenants", "get /admin/tenants/{tenant}/welcome"},
    Scope.ADMIN_WRITE: {"post /admin/tenants", "patch /admin/tenants/{tenant}"},
}
"""Some of the operations of each scope."""


@pytest.mark.parametrize("scope", sorted(NEEDS))
def test_row_94_a_key_is_shown_what_it_may_call_and_no_other_operation(live: Live, scope: Scope) -> None:
    document = live.get("/openapi.json", live.stage.key("_operator", scopes={scope})).json()
    OPENAPI_31_VALIDATOR.validate(document)
    shown = {f"{method} {path}" for path, item in document["paths"].items() for method in item}
    assert shown >= NEEDS[scope]
    assert [each for other, needs in NEEDS.items() if other != scope for each in needs & shown] == []
    assert shown >= {"get /health", "post /oauth/token"}, "what needs no scope"
    used = {tag for item in document["paths"].values() for operation in item.values() for tag in operation["tags"]}
    assert {tag["name"] for tag in document["tags"]} <= used, "no heading without an operation"


def dangling(document: dict[str, Any]) -> list[str]:
    """References to schemas that are not there."""
    named = re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document))
    return sorted(set(named) - set(document["components"]["schemas"]))


def test_it_is_valid_and_its_schemas_take_its_own_example_and_the_live_answer(live: Live) -> None:
    key = live.stage.tenant("checker", "iris")
    document = live.get("/openapi.json", key).json()

    OPENAPI_31_VALIDATOR.validate(document)
    schemas = document["components"]["schemas"]
    operation = document["paths"]["/v1/models/iris/predict"]["post"]
    (example,) = operation["requestBody"]["content"]["application/json"]["examples"].values()
    assert example["value"] == instances(IRIS_ROW)
    jsonschema_rs.validate(schemas["iris.v1.Request"], example["value"])
    jsonschema_rs.validate(schemas["iris.v1.Answer"], live.predict(key, example["value"]).json())


def test_a_refused_call_answers_by_the_documented_problem_schema(live: Live) -> None:
    key = live.stage.tenant("wrong", "iris")
    document = live.get("/openapi.json", key).json()

    answer = live.predict(key, instances({**IRIS_ROW, "sepal_length": 99}))

    assert str(answer.status_code) in document["paths"]["/v1/models/iris/predict"]["post"]["responses"]
    jsonschema_rs.validate(document["components"]["schemas"]["InvalidInputProblem"], answer.json())
    assert answer.json()["errors"][0]["pointer"] == "/instances/0/sepal_length"


NOT_DOCUMENTED = {"/", "/errors/{code}", "/docs", "/docs/assets/{name}", "/openapi.json"}
"""Pages for people, and the document itself."""


def test_row_90_the_document_lists_every_route_and_every_prediction_path(live: Live) -> None:
    dispatcher: Any = live.app._road
    while hasattr(dispatcher, "app"):
        dispatcher = dispatcher.app
    routed = {context.path for context in iter_route_contexts(dispatcher._rest.routes)}
    operator = live.stage.key("_operator", scopes=frozenset(Scope))
    documented = set(live.get("/openapi.json", operator).json()["paths"])
    predictions = {path.replace("{api_version}", version) for path in PREDICTION_PATHS for version in API_VERSIONS}

    assert documented == (routed - NOT_DOCUMENTED) | predictions
    assert routed >= NOT_DOCUMENTED
    assert "/oauth/revoke" in documented


def test_every_route_refuses_what_it_does_not_declare(live: Live) -> None:
    dispatcher: Any = live.app._road
    while hasattr(dispatcher, "app"):
        dispatcher = dispatcher.app
    routes: list[Any] = list(dispatcher._rest.routes)
    assert [route.path for route in routes if route.dependant.dependencies[0].call is not refuse_undeclared] == []
    assert len(routes) > 150
