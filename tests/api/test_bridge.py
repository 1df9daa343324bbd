"""An endpoint that is bridged: callers keep their contract while the model of its successor answers."""

import io
import json
from collections.abc import Iterator
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sqlmodel import col, select
from stage import ACTOR, IRIS_ROW, ROOT, Live, Stage, instances, key_id, problem, wait_until

from gatehouse.cli.deployment import Deployment
from gatehouse.contracts.bodies import records_line
from gatehouse.contracts.contract import parse_contract
from gatehouse.db.tables import UsageEventTable
from gatehouse.operating.bridging import begin_bridge
from gatehouse.principal import Plan, Rate
from gatehouse.serving.recipes import train_recipe

RECIPE = ROOT / "models" / "iris"
SPECIES = ["setosa", "versicolor", "virginica"]
FIELDS = list(IRIS_ROW)
SMALL = Plan("small", Rate(1, 3600, 10_000), Rate(1, 3600, 10_000), 12, "hard", 10, 10_000)


@pytest.fixture(scope="module")
def live(module_stage: Stage) -> Iterator[Live]:
    """A server that was started after v1 was bridged and its model deleted."""
    begin_bridge(Deployment(settings=module_stage.settings, database=module_stage.database, actor=ACTOR), "iris", "v1", "v2")
    for artifact in (module_stage.state_dir / "models" / "iris" / "1.0.0").glob("model.*"):
        artifact.unlink()
    with module_stage.serving() as running:
        yield running


@pytest.fixture(scope="module")
def probabilities() -> Any:
    """Of all irises, by scikit-learn itself on the lengths in millimetres; in the order of SPECIES."""
    estimator = joblib.load(io.BytesIO(train_recipe(RECIPE, "v2")))
    assert list(estimator.classes_) == SPECIES
    return estimator.predict_proba(load_iris().data * 10)


@pytest.fixture(scope="module")
def acme(module_stage: Stage, live: Live) -> str:
    return module_stage.tenant("acme", "iris")


def irises() -> list[dict[str, float]]:
    return [dict(zip(FIELDS, map(float, row), strict=True)) for row in load_iris().data]


def in_millimetres(row: dict[str, float]) -> dict[str, float]:
    return {f"{name}_mm": length * 10 for name, length in row.items()}


def check(predictions: list[dict[str, Any]], expected: Any) -> None:
    """Under the contract of v1, to a step of its last decimal (ONNX computes in single precision)."""
    assert len(predictions) == len(expected)
    for said, each in zip(predictions, expected, strict=True):
        assert list(said) == ["label", "confidence", "probabilities"]
        assert said["label"] == SPECIES[int(np.argmax(each))]
        assert list(said["probabilities"]) == SPECIES
        assert np.abs(np.array(list(said["probabilities"].values())) - each).max() <= 1.01e-4
        assert said["confidence"] == said["probabilities"][said["label"]] == round(said["confidence"], 4)


def test_every_iris_is_answered_by_v2_under_the_contract_of_v1(live: Live, acme: str, probabilities: Any) -> None:
    answer = live.predict(acme, instances(*irises()))
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert {name: document[name] for name in ("model", "model_version", "api_version", "bridged")} == {
        "model": "iris",
        "model_version": "2.0.0",
        "api_version": "v1",
        "bridged": True,
    }
    check(document["predictions"], probabilities)
    single = live.predict(acme, instances(irises()[77])).json()["predictions"]
    assert single == document["predictions"][77:78]
    own = live.predict(acme, instances(*map(in_millimetres, irises())), "/v2/models/iris/predict").json()
    assert "bridged" not in own
    renamed = [
        {
            "label": each["label"].removeprefix("Iris "),
            "confidence": each["confidence"],
            "probabilities": {name.removeprefix("Iris "): number for name, number in each["probabilities"].items()},
        }
        for each in own["predictions"]
    ]
    assert document["predictions"] == renamed


@pytest.mark.parametrize("columns", [False, True], ids=["records", "columns"])
def test_thousands_of_rows_are_answered_as_each_alone(live: Live, acme: str, probabilities: Any, columns: bool) -> None:
    rows = irises() * 20
    names = FIELDS[::-1]
    body = {"columns": names, "data": [[row[name] for name in names] for row in rows]} if columns else instances(*rows)
    assert len(json.dumps(body)) > 64 * 1024
    check(live.predict(acme, body).json()["predictions"], np.tile(probabilities, (20, 1)))


def test_outputs_are_narrowed_in_the_words_of_v1(live: Live, acme: str) -> None:
    body = instances(*irises()[:2])
    whole = live.predict(acme, body).json()["predictions"]
    for outputs in (["label"], ["confidence"], ["probabilities"], ["confidence", "label"]):
        narrowed = live.predict(acme, body | {"outputs": outputs}).json()["predictions"]
        assert narrowed == [{name: each[name] for name in ("label", "confidence", "probabilities") if name in outputs} for each in whole]
    refused = problem(live.predict(acme, body | {"outputs": ["Iris setosa"]}), 422, "invalid_input")
    assert refused["errors"][0]["pointer"] == "/outputs/0"


def test_what_v1_never_took_is_refused_in_the_words_of_v1(live: Live, acme: str) -> None:
    refused = problem(live.predict(acme, instances(in_millimetres(IRIS_ROW))), 422, "invalid_input")
    assert {each["code"] for each in refused["errors"]} >= {"unknown_field", "missing_field"}
    beyond = problem(live.predict(acme, instances(IRIS_ROW | {"sepal_width": 10.5})), 422, "invalid_input")
    assert beyond["errors"] == [
        {
            "pointer": "/instances/0/sepal_width",
            "code": "out_of_range",
            "detail": "must be 0.1 to 10 cm",
            "minimum": 0.1,
            "maximum": 10,
            "unit": "cm",
        }
    ]
    shape = problem(live.predict(acme, {"rows": []}), 422, "invalid_input")
    assert records_line(parse_contract((RECIPE / "v1.toml").read_bytes(), "v1.toml")) in shape["detail"]


def test_the_endpoint_says_that_it_is_bridged_and_shows_its_own_contract(live: Live, acme: str) -> None:
    listed = {each["api_version"]: each for version in ("v1", "v2") for each in live.get(f"/{version}/models", acme).json()["models"]}
    assert [(listed[name]["model_version"], listed[name]["bridged"]) for name in ("v1", "v2")] == [("2.0.0", True), ("2.0.0", False)]
    account = {each["api_version"]: each for each in live.get("/account", acme).json()["endpoints"]}
    assert account == listed
    shown = live.get("/v1/models/iris", acme).json()
    assert [each["name"] for each in shown["contract"]["features"]] == FIELDS
    assert shown["contract"]["output"]["labels"] == SPECIES
    document = live.get("/openapi.json", acme).json()
    assert document["components"]["schemas"]["iris.v1.Answer"]["properties"]["bridged"]["const"] is True
    assert "bridged" not in document["components"]["schemas"]["iris.v1.Answer"]["required"]
    operator = live.stage.key("_operator")
    assert live.get("/health/ready", operator).json() == {"status": "ready", "failures": {}}


def test_only_who_may_call_v1_may_call_it_over_the_bridge(live: Live, module_stage: Stage) -> None:
    stranger = module_stage.tenant("stranger", "line")
    only_v2 = module_stage.tenant("only-v2", "line")
    module_stage.grant("only-v2", "iris", "v2")
    wait_until(lambda: live.predict(only_v2, instances(in_millimetres(IRIS_ROW)), "/v2/models/iris/predict").status_code == 200)
    unknown = problem(live.predict(stranger, instances(IRIS_ROW), "/v1/models/nothing/predict"), 404, "not_found")
    for key in (stranger, only_v2):
        refused = problem(live.predict(key, instances(IRIS_ROW)), 404, "not_found")
        assert refused | {"request_id": ""} == unknown | {"request_id": ""}


def test_rows_are_counted_once_for_each_tenant_as_calls_of_v1_answered_by_v2(live: Live, module_stage: Stage) -> None:
    plan = module_stage.plan(SMALL)
    one, other = (module_stage.tenant(name, "iris", plan=plan) for name in ("one", "other"))
    assert live.predict(one, instances(*irises()[:10])).status_code == 200
    assert live.predict(one, instances(*irises()[:2])).status_code == 200
    problem(live.predict(one, instances(IRIS_ROW)), 429, "quota_exhausted")
    assert live.predict(other, instances(*irises()[:3])).status_code == 200
    problem(live.predict(other, instances({"sepal_length": 1})), 422, "invalid_input")
    wait_until(lambda: [live.get("/account", key).json()["rows_left"] for key in (one, other)] == [0, 9])
    wait_until(lambda: len(events(module_stage, one, other)) == 4)
    assert sorted(events(module_stage, one, other)) == sorted(
        [
            (key_id(one), "v1", "2.0.0", 10, 200),
            (key_id(one), "v1", "2.0.0", 2, 200),
            (key_id(other), "v1", "2.0.0", 3, 200),
            (key_id(other), "v1", "2.0.0", 0, 422),
        ]
    )


def events(stage: Stage, *keys: str) -> list[tuple[str, str, str, int, int]]:
    with stage.database.read() as session:
        found = session.exec(select(UsageEventTable).where(col(UsageEventTable.key_id).in_([key_id(key) for key in keys]))).all()
    return [(str(row.key_id), str(row.api_version), str(row.model_version), row.rows, row.status) for row in found]
