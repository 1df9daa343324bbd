"""Several targets over HTTP: what scikit-learn answers, in the shape that the OpenAPI document promises."""

import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import joblib
import jsonschema_rs
import numpy as np
import pytest
from contract_text import head
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from stage import ACTOR, Live, Stage, problem

from gatehouse.contracts.contract import Contract, parse_contract
from gatehouse.contracts.openapi import response_schema
from gatehouse.migration.store import create_endpoint
from gatehouse.serving.publish import Publication, publish
from gatehouse.serving.repository import Repository
from gatehouse.serving.signing import TrustedKeys, create_publishing_key

RANDOM = np.random.default_rng(41)
ROWS = RANDOM.uniform(0, 9, (200, 2))
PROBES = np.round(RANDOM.uniform(0, 9, (120, 2)), 3)
VALUES = np.c_[300 + 40 * ROWS[:, 0] + ROWS[:, 1], 60 + ROWS[:, 1]]
SOLD = (ROWS[:, 0] > ROWS[:, 1]).astype(int)
ZONE = np.array(["east", "north", "west"])[np.digitize(ROWS[:, 1], [3, 6])]
HEAD = head("{model}", size=(0, 9, 4.5), age=(0, 9, 2)) + '[output]\ntask = "multioutput"\n'
VALUED = (
    HEAD
    + '[output.targets.rent]\ntask = "regression"\nunit = "EUR"\ndecimals = 2\n[output.targets.noise]\ntask = "regression"\ndecimals = 1\n'
)
LABELLED = (
    HEAD
    + '[output.targets.sold]\ntask = "classification"\ndecimals = 3\n'
    + 'labels = [{{class = "1", name = "yes"}}, {{class = "0", name = "no"}}]\n'
    + '[output.targets.zone]\ntask = "classification"\ndecimals = 5\n'
    + 'labels = [{{class = "east", name = "E"}}, {{class = "north", name = "N"}}, {{class = "west", name = "W"}}]\n'
)
NAMES: dict[str, dict[str, str]] = {"sold": {"1": "yes", "0": "no"}, "zone": {"east": "E", "north": "N", "west": "W"}}


@dataclass(frozen=True)
class Homes:
    """A server with three models of several targets, and a key that may call them."""

    live: Live
    key: str
    estimators: dict[str, Any]
    contracts: dict[str, Contract]
    publications: dict[str, Publication]

    def predict(self, model: str, rows: Any, **more: Any) -> Any:
        body = {"columns": ["size", "age"], "data": rows.tolist()} | more
        return self.live.predict(self.key, body, f"/v1/models/{model}/predict")

    def predictions(self, model: str, rows: Any, **more: Any) -> list[dict[str, Any]]:
        """Of a call that is answered, checked against the schema of the answer."""
        answer = self.predict(model, rows, **more)
        assert answer.status_code == 200, answer.text
        assert jsonschema_rs.Draft202012Validator(response_schema(self.contracts[model])).is_valid(answer.json())
        found: list[dict[str, Any]] = answer.json()["predictions"]
        return found


@pytest.fixture(scope="module")
def homes(module_stage: Stage) -> Iterator[Homes]:
    labels = np.c_[SOLD.astype(str), ZONE]
    estimators: dict[str, Any] = {
        "each": MultiOutputRegressor(Ridge()).fit(ROWS, VALUES),
        "forest": RandomForestRegressor(10, random_state=1).fit(ROWS, VALUES),
        "labels": MultiOutputClassifier(LogisticRegression()).fit(ROWS, labels),
    }
    tomls = {model: (LABELLED if model == "labels" else VALUED).format(model=model) for model in estimators}
    contracts = {model: parse_contract(toml.encode(), model) for model, toml in tomls.items()}
    publications = {model: published(module_stage, estimators[model], contracts[model], tomls[model].encode()) for model in estimators}
    with module_stage.database.write() as session:
        for model in estimators:
            create_endpoint(session, ACTOR, model, "1.0.0")
    key = module_stage.tenant("homes", *estimators)
    with module_stage.serving() as live:
        yield Homes(live, key, estimators, contracts, publications)


def published(stage: Stage, estimator: Any, contract: Contract, source: bytes) -> Publication:
    trusted, file = stage.state_dir / "trusted-keys", io.BytesIO()
    joblib.dump(estimator, file)
    signer = create_publishing_key(stage.state_dir / f"{contract.model}.pem", trusted)
    repository = Repository(stage.state_dir / "models", TrustedKeys.load(trusted))
    return publish(
        file.getvalue(), contract, source, version="1.0.0", repository=repository, signer=signer,
        progress=lambda _note: None, now=datetime.now(UTC),
    )  # fmt: skip


def assert_answered(homes: Homes, model: str, rows: Any, told: list[dict[str, Any]]) -> None:
    """Equal to scikit-learn on every row, within one unit of the last decimal."""
    estimator = homes.estimators[model]
    if model != "labels":
        got = [[each["rent"]["value"], each["noise"]["value"]] for each in told]
        assert (np.abs(np.array(got) - estimator.predict(rows)) <= np.array([0.01, 0.1]) + 1e-9).all()
        return
    for target, probabilities, unit, own in zip(NAMES, estimator.predict_proba(rows), (1e-3, 1e-5), estimator.predict(rows).T, strict=True):
        classes = estimator.classes_[list(NAMES).index(target)]
        assert [each[target]["label"] for each in told] == [NAMES[target][cls] for cls in own]
        got = [[each[target]["probabilities"][NAMES[target][cls]] for cls in classes] for each in told]
        assert np.abs(np.array(got) - probabilities).max() <= unit + 1e-9
        assert all(each[target]["confidence"] == each[target]["probabilities"][each[target]["label"]] for each in told)


@pytest.mark.parametrize("model", ["each", "forest", "labels"])
def test_every_row_is_answered_as_scikit_learn_does(homes: Homes, model: str) -> None:
    told = homes.predictions(model, PROBES)
    assert [list(each) for each in told] == [list(homes.contracts[model].output.returns)] * len(PROBES)
    assert_answered(homes, model, PROBES, told)
    assert homes.predictions(model, PROBES[:1]) == told[:1]


def test_each_model_took_its_road(homes: Homes) -> None:
    assert {model: each.engine for model, each in homes.publications.items()} == {"each": "onnx", "forest": "onnx", "labels": "sklearn"}


def test_outputs_narrow_the_answer_to_some_targets(homes: Homes) -> None:
    for model, name in (("each", "noise"), ("labels", "zone")):
        (told,) = homes.predictions(model, PROBES[:1], outputs=[name])
        assert told == {name: homes.predictions(model, PROBES[:1])[0][name]}
    document = problem(homes.predict("labels", PROBES[:1], outputs=["label"]), 422, "invalid_input")
    assert document["errors"][0]["pointer"] == "/outputs/0"


def test_concurrent_calls_for_several_labels_are_joined_and_each_gets_its_own_rows(homes: Homes) -> None:
    def call(place: int) -> tuple[Any, list[dict[str, Any]]]:
        rows = PROBES[place : place + 1 + place % 3]
        return rows, homes.predictions("labels", rows, **({"outputs": ["zone", "sold"]} if place % 2 else {}))

    with ThreadPoolExecutor(16) as callers:
        for rows, told in callers.map(call, range(96)):
            assert len(told) == len(rows)
            assert_answered(homes, "labels", rows, told)


def test_the_openapi_document_and_the_model_page_tell_of_every_target(homes: Homes) -> None:
    described = homes.live.get("/v1/models/labels", homes.key).json()["contract"]["output"]
    assert [target["name"] for target in described["targets"]] == ["sold", "zone"]
    assert described["targets"][1]["labels"] == ["E", "N", "W"]
    document = json.dumps(homes.live.get("/openapi.json", homes.key).json())
    assert '"zone"' in document
    assert '"north"' not in document  # the estimator's own class is nobody's business
