"""`/v{n}/models`: what a key may call, with its contract."""

import pytest
from stage import Live, instances, problem


@pytest.fixture(scope="module")
def key(live: Live) -> str:
    return live.stage.tenant("acme", "iris", "mixed", "line")


def test_the_list_holds_the_granted_endpoints_of_one_api_version(live: Live, key: str) -> None:
    assert [entry["model"] for entry in live.get("/v1/models", key).json()["models"]] == ["iris", "line", "mixed"]
    assert [entry["model"] for entry in live.get("/v2/models", key).json()["models"]] == ["iris"]
    assert live.get("/v3/models", key).json() == {"models": []}


def test_a_model_is_shown_with_its_contract_and_no_class_of_the_estimator(live: Live, key: str) -> None:
    shown = live.get("/v1/models/iris", key).json()
    assert (shown["model_version"], shown["lifecycle"]) == ("1.0.0", "active")
    assert shown["url"] == f"{live.base_url}/v1/models/iris/predict"
    assert shown["contract"]["features"][0] == {
        "name": "sepal_length",
        "type": "number",
        "unit": "cm",
        "minimum": 0.1,
        "maximum": 15,
        "description": "Length of the sepal, the green outer leaf of the flower",
        "example": 5.2,
        "required": True,
        "nullable": False,
    }
    assert shown["contract"]["output"] == {
        "task": "classification",
        "labels": ["setosa", "versicolor", "virginica"],
        "returns": ["label", "confidence", "probabilities"],
        "decimals": 4,
    }


@pytest.mark.parametrize(("version", "model"), [("v1", "iris"), ("v2", "iris"), ("v1", "mixed"), ("v1", "line")])
def test_the_examples_of_every_contract_are_answered(live: Live, key: str, version: str, model: str) -> None:
    features = live.get(f"/{version}/models/{model}", key).json()["contract"]["features"]
    row = {feature["name"]: feature["example"] for feature in features}
    assert live.predict(key, instances(row), f"/{version}/models/{model}/predict").status_code == 200


@pytest.mark.parametrize(
    "path", ["/v1/models/Iris", "/v1/models/iris.", "/v1/models/1iris", "/v1/models/" + "a" * 64, "/v1000/models", "/v01/models"]
)
def test_a_name_that_no_model_can_have_is_a_plain_404(live: Live, key: str, path: str) -> None:
    problem(live.get(path, key), 404, "not_found")
