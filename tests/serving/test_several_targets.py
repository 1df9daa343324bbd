"""Several targets: published, loaded and answered by name, each as scikit-learn answers it."""

import json
from collections.abc import Callable
from typing import Any

import jsonschema_rs
import numpy as np
import pytest
from contract_text import pair_head
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, MultiOutputRegressor
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from gatehouse.contracts.openapi import response_schema
from gatehouse.errors import PredictionFailed
from gatehouse.serving import engine_choice
from gatehouse.serving.convert import NotConvertible
from gatehouse.serving.engines.sklearn import SklearnEngine
from gatehouse.serving.independence import rows_stand_alone
from gatehouse.serving.options import PublishOptions
from gatehouse.serving.registry import NotServable

RANDOM = np.random.default_rng(23)
ROWS = RANDOM.uniform(-4, 4, (150, 2))
VALUES = np.c_[200 + ROWS.sum(axis=1) * 10, ROWS[:, 0] + 50]
SIDE = (ROWS[:, 0] > ROWS[:, 1]).astype(int)
ZONE = np.digitize(ROWS[:, 0], [-1.5, 1.5])
PROBES = RANDOM.uniform(-4, 4, (60, 2))
HEAD = pair_head() + '[output]\ntask = "multioutput"\n'
VALUED = HEAD + '[output.targets.rent]\ntask = "regression"\ndecimals = 1\n[output.targets.noise]\ntask = "regression"\ndecimals = 3\n'
SIDE_LABELS = 'labels = [{class = 1, name = "right"}, {class = 0, name = "left"}]\n'
ZONE_LABELS = 'labels = [{class = 0, name = "low"}, {class = 1, name = "mid"}, {class = 2, name = "high"}]\n'
LABELLED = (
    HEAD
    + f'[output.targets.side]\ntask = "classification"\n{SIDE_LABELS}decimals = 3\n'
    + f'[output.targets.zone]\ntask = "classification"\n{ZONE_LABELS}top_k = 2\nreturns = ["label", "probabilities"]\n'
)
NAMES = ({1: "right", 0: "left"}, {0: "low", 1: "mid", 2: "high"})
LABEL_ONLY = LABELLED.replace("top_k = 2\n", "").replace('["label", "probabilities"]', '["label"]').replace(
    "decimals = 3\n", 'returns = ["label"]\n'
)  # fmt: skip


@pytest.fixture
def unconverted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Publishing without the seconds of a conversion."""

    def refuse(_artifact: bytes, **_rest: Any) -> bytes:
        raise NotConvertible("not tried in this test")

    monkeypatch.setattr(engine_choice, "convert", refuse)


def answers(workshop: Any, rows: Any = PROBES, outputs: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """As the loaded version answers; also one by one, and by the contract's own schema."""
    served = workshop.registry().load("pair", "v1", "1.0.0")
    wanted = outputs or tuple(served.contract.output.returns)
    told: list[dict[str, Any]] = served.predictor.answer(rows, wanted)
    assert told == [served.predictor.answer(rows[place : place + 1], wanted)[0] for place in range(len(rows))]
    items = response_schema(served.contract)["properties"]["predictions"]["items"]
    assert all(jsonschema_rs.Draft202012Validator(items).is_valid(json.loads(json.dumps(each))) for each in told)
    assert all(tuple(each) == wanted for each in told)
    return told


@pytest.mark.parametrize("make", [LinearRegression, lambda: MultiOutputRegressor(Ridge()), lambda: RandomForestRegressor(5)])
def test_several_values_become_onnx_and_each_has_its_own_decimals(make: Callable[[], Any], publish_pair: Any, workshop: Any) -> None:
    estimator = make().fit(ROWS, VALUES)
    publication = publish_pair(estimator, VALUED)
    assert (publication.engine, publication.engine_reason) == ("onnx", None)
    expected = estimator.predict(PROBES)
    for told, (rent, noise) in zip(answers(workshop), expected.tolist(), strict=True):
        assert abs(told["rent"]["value"] - rent) <= 0.1 + 1e-9
        assert abs(told["noise"]["value"] - noise) <= 0.001 + 1e-9
        assert told["rent"]["value"] == round(told["rent"]["value"], 1)


@pytest.mark.usefixtures("unconverted")
def test_several_values_are_served_by_scikit_learn_where_no_graph_is(publish_pair: Any, workshop: Any) -> None:
    estimator = LinearRegression().fit(ROWS, VALUES)
    assert publish_pair(estimator, VALUED).engine == "sklearn"
    expected = [{"rent": {"value": round(rent, 1)}, "noise": {"value": round(noise, 3)}} for rent, noise in estimator.predict(PROBES)]
    assert answers(workshop) == expected


CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "one for each": lambda: MultiOutputClassifier(LogisticRegression()),
    "forest": lambda: RandomForestClassifier(5, random_state=1),
    "tree": lambda: DecisionTreeClassifier(max_depth=3),
    "neighbours": lambda: KNeighborsClassifier(4),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_several_classifications_answer_scikit_learns_labels_and_probabilities(name: str, publish_pair: Any, workshop: Any) -> None:
    estimator = CLASSIFIERS[name]().fit(ROWS, np.c_[SIDE, ZONE])
    publication = publish_pair(estimator, LABELLED, options=PublishOptions(accept_embedded_data=True))
    assert publication.engine == "sklearn"
    assert "of several targets" in publication.engine_reason
    sides, zones = estimator.predict_proba(PROBES)
    for place, (told, labels) in enumerate(zip(answers(workshop), estimator.predict(PROBES), strict=True)):
        assert (told["side"]["label"], told["zone"]["label"]) == (NAMES[0][labels[0]], NAMES[1][labels[1]])
        assert list(told["side"]["probabilities"]) == ["right", "left"]
        assert abs(told["side"]["probabilities"]["right"] - sides[place][1]) <= 1e-3
        assert told["side"]["confidence"] == told["side"]["probabilities"][told["side"]["label"]]
        assert set(told["zone"]) == {"label", "probabilities"}
        assert len(told["zone"]["probabilities"]) == 2
        assert abs(max(told["zone"]["probabilities"].values()) - zones[place].max()) <= 1e-4


@pytest.mark.usefixtures("unconverted")
def test_without_predict_proba_each_target_answers_its_label(publish_pair: Any, workshop: Any) -> None:
    estimator = MultiOutputClassifier(LinearSVC()).fit(ROWS, np.c_[SIDE, ZONE])
    assert publish_pair(estimator, LABEL_ONLY).engine_reason == "the estimator has no probabilities"
    expected = [{"side": {"label": NAMES[0][side]}, "zone": {"label": NAMES[1][zone]}} for side, zone in estimator.predict(PROBES)]
    assert answers(workshop) == expected


def test_a_chain_of_yes_and_no_answers_both_classes_of_each(publish_pair: Any, workshop: Any) -> None:
    other = (ROWS[:, 1] > 1).astype(int)
    estimator = ClassifierChain(LogisticRegression()).fit(ROWS, np.c_[SIDE, other])
    toml = LABELLED.replace(', {class = 2, name = "high"}', "").replace("top_k = 2\n", "")
    publish_pair(estimator, toml)
    for told, row, labels in zip(answers(workshop), estimator.predict_proba(PROBES), estimator.predict(PROBES), strict=True):
        assert told["side"]["label"] == NAMES[0][labels[0]]
        assert told["zone"]["label"] == NAMES[1][labels[1]]
        assert told["zone"]["probabilities"]["mid"] == pytest.approx(row[1], abs=1e-4)
        assert told["zone"]["probabilities"]["low"] == pytest.approx(1 - row[1], abs=1e-4)


def test_targets_of_texts_and_of_numbers_keep_their_classes(publish_pair: Any, workshop: Any) -> None:
    words = np.array(["low", "mid", "high"], dtype=object)[ZONE]
    table = np.empty((len(ROWS), 2), dtype=object)
    table[:, 0], table[:, 1] = SIDE.astype(str), words
    estimator = MultiOutputClassifier(LogisticRegression()).fit(ROWS, table)
    toml = LABELLED
    for number, text in (("1", '"1"'), ("0", '"0"')):
        toml = toml.replace(f'{{class = {number}, name = "{"right" if number == "1" else "left"}"', f'{{class = {text}, name = "{text[1]}"')
    for number, text in ((0, "low"), (1, "mid"), (2, "high")):
        toml = toml.replace(f'{{class = {number}, name = "{text}"', f'{{class = "{text}", name = "{text}"')
    publish_pair(estimator, toml)
    assert [(told["side"]["label"], told["zone"]["label"]) for told in answers(workshop)] == [
        tuple(row) for row in estimator.predict(PROBES)
    ]


@pytest.mark.usefixtures("unconverted")
def test_outputs_narrow_the_answer_to_some_targets_in_their_order(publish_pair: Any, workshop: Any) -> None:
    publish_pair(LinearRegression().fit(ROWS, VALUES), VALUED)
    assert [list(told) for told in answers(workshop, PROBES[:2], ("noise",))] == [["noise"]] * 2
    assert [list(told) for told in answers(workshop, PROBES[:2], ("noise", "rent"))] == [["noise", "rent"]] * 2


@pytest.mark.usefixtures("unconverted")
def test_a_target_that_is_not_returned_is_still_the_estimators_own_column(publish_pair: Any, workshop: Any) -> None:
    estimator = LinearRegression().fit(ROWS, VALUES)
    publish_pair(estimator, VALUED.replace('task = "multioutput"', 'task = "multioutput"\nreturns = ["noise"]'))
    assert answers(workshop) == [{"noise": {"value": round(value, 3)}} for value in estimator.predict(PROBES)[:, 1]]


@pytest.mark.usefixtures("unconverted")
@pytest.mark.parametrize("make", [LinearRegression, lambda: MultiOutputRegressor(Ridge())])
def test_one_value_in_a_column_of_its_own_is_one_value(make: Callable[[], Any], publish_pair: Any, workshop: Any, pair_toml: str) -> None:
    estimator = make().fit(ROWS, VALUES[:, :1])
    publish_pair(estimator, pair_toml.partition("[output]")[0] + '[output]\ntask = "regression"\n')
    assert answers(workshop) == [{"value": round(value, 4)} for value in estimator.predict(PROBES).ravel()]


@pytest.mark.usefixtures("unconverted")
def test_rows_of_several_callers_may_be_joined_and_keep_their_own_answers(publish_pair: Any, workshop: Any) -> None:
    for version, estimator in (("1.0.0", LinearRegression().fit(ROWS, VALUES)), ("1.0.1", Shifted().fit(ROWS, VALUES))):
        publish_pair(estimator, VALUED, version=version)
    assert workshop.registry().load("pair", "v1", "1.0.0").predictor.joins
    assert not workshop.registry().load("pair", "v1", "1.0.1").predictor.joins


class Shifted(LinearRegression):
    """Its second target looks at the other rows of the call."""

    def predict(self, rows: Any) -> Any:
        told = super().predict(rows)
        told[:, 1] -= told[:, 1].mean()
        return told


def test_a_target_that_looks_at_other_rows_is_found() -> None:
    from types import SimpleNamespace

    from gatehouse.serving.predictor import Predictor

    value = SimpleNamespace(task="regression", labels=(), returns=("value",), decimals=3, top_k=None, targets=())
    targets = tuple(SimpleNamespace(name=name, output=value) for name in "ab")
    output = SimpleNamespace(task="multioutput", labels=(), returns=("a", "b"), decimals=3, top_k=None, targets=targets)
    for make, alone in ((LinearRegression, True), (Shifted, False)):
        engine = SklearnEngine(make().fit(ROWS, VALUES), classifies=False)
        assert rows_stand_alone(Predictor(engine, output), PROBES) is alone


@pytest.mark.usefixtures("unconverted")
def test_a_target_that_is_not_finite_fails_the_call_also_where_it_was_not_asked_for(publish_pair: Any, workshop: Any) -> None:
    publish_pair(Cliff().fit(ROWS, VALUES), VALUED)
    predictor = workshop.registry().load("pair", "v1", "1.0.0").predictor
    for rows in (np.array([[9.0, 0.0]]), np.array([[1.0, 0.0], [9.0, 0.0]])):
        for outputs in (("rent", "noise"), ("rent",)):
            with pytest.raises(PredictionFailed) as failed:
                predictor.answer(rows, outputs)
            assert failed.value.reason == "model_answered_not_finite"


class Cliff(LinearRegression):
    """Its second target is infinite beyond the contract's own space."""

    def predict(self, rows: Any) -> Any:
        told = super().predict(rows)
        told[rows[:, 0] > 5, 1] = np.inf
        return told


@pytest.mark.usefixtures("unconverted")
def test_a_version_whose_targets_are_not_those_of_its_manifest_never_loads(publish_pair: Any, workshop: Any, dump: Any) -> None:
    publish_pair(MultiOutputClassifier(LogisticRegression()).fit(ROWS, np.c_[SIDE, ZONE]), LABELLED)
    source = LABELLED.encode()
    three = MultiOutputClassifier(LogisticRegression()).fit(ROWS, np.c_[SIDE, ZONE, SIDE])
    for version, classes, estimator in (
        ("1.0.1", ((0, 1), (0, 1, 2)), three),
        ("1.0.2", ((0, 1), (0, 1, 2), (0, 1)), three),
        ("1.0.3", (0, 1), LogisticRegression().fit(ROWS, SIDE)),
    ):
        workshop.write(dump(estimator), source, version=version, classes=classes)
        with pytest.raises(NotServable, match=r"publish the model again|the model has \d targets, the contract 2"):
            workshop.registry().load("pair", "v1", version)
