"""The main job: a partner with a key gets a prediction, with the body shapes and outputs of the contract."""

import pytest
from estimators import INFINITE_SIZE, NAN_SIZE, RAISING_SIZE
from stage import IRIS_ROW, MIXED_ROW, Live, instances, problem


@pytest.fixture(scope="module")
def key(live: Live) -> str:
    return live.stage.tenant("acme", "iris", "mixed", "line", "fragile")


def test_one_row_is_answered_with_model_version_and_request_id(live: Live, key: str) -> None:
    answer = live.predict(key, instances(IRIS_ROW))
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert {name: document[name] for name in ("model", "model_version", "api_version")} == {
        "model": "iris",
        "model_version": "1.0.0",
        "api_version": "v1",
    }
    assert document["request_id"] == answer.headers["x-request-id"]
    (prediction,) = document["predictions"]
    assert prediction["label"] == "setosa"
    assert set(prediction) == {"label", "confidence", "probabilities"}


def test_the_short_path_serves_the_default_model(live: Live, key: str) -> None:
    short, explicit = live.predict(key, instances(IRIS_ROW), "/v1/predict"), live.predict(key, instances(IRIS_ROW))
    assert short.json()["predictions"] == explicit.json()["predictions"]
    assert short.json()["model"] == "iris"


def test_v2_has_its_own_contract(live: Live, key: str) -> None:
    described = live.get("/v2/models/iris", key).json()
    row = {feature["name"]: feature["example"] for feature in described["contract"]["features"]}
    assert live.predict(key, instances(row), "/v2/models/iris/predict").json()["api_version"] == "v2"
    problem(live.predict(key, instances(IRIS_ROW), "/v2/models/iris/predict"), 422, "invalid_input")


def test_columns_are_answered_like_records(live: Live, key: str) -> None:
    names = list(IRIS_ROW)[::-1]
    columns = {"columns": names, "data": [[IRIS_ROW[name] for name in names]] * 3}
    assert live.predict(key, columns).json()["predictions"] == live.predict(key, instances(*[IRIS_ROW] * 3)).json()["predictions"]


def test_outputs_narrow_the_answer(live: Live, key: str) -> None:
    answer = live.predict(key, {**instances(IRIS_ROW), "outputs": ["label"]})
    assert answer.json()["predictions"] == [{"label": "setosa"}]
    document = problem(live.predict(key, {**instances(IRIS_ROW), "outputs": ["weights"]}), 422, "invalid_input")
    assert document["errors"][0]["pointer"] == "/outputs/0"


def test_a_model_of_mixed_columns_is_served_by_scikit_learn(live: Live, key: str) -> None:
    answer = live.predict(key, instances(MIXED_ROW, {"amount": None, "visits": 5.0, "colour": "green"}), "/v1/models/mixed/predict")
    assert answer.status_code == 200, answer.text
    assert [prediction["label"] for prediction in answer.json()["predictions"]] == ["leaves", "stays"]


@pytest.mark.parametrize("size", [RAISING_SIZE, NAN_SIZE, INFINITE_SIZE], ids=["raises", "nan", "infinity"])
def test_a_valid_row_that_the_model_cannot_answer_is_prediction_failed(live: Live, key: str, size: float) -> None:
    answer = live.predict(key, instances({"size": size}), "/v1/models/fragile/predict")
    problem(answer, 500, "prediction_failed")
    assert "secret-internal-text" not in answer.text
    assert live.predict(key, instances({"size": 1}), "/v1/models/fragile/predict").json()["predictions"] == [{"value": 1.0}]


def test_ten_thousand_rows_come_back_in_their_order(live: Live, key: str) -> None:
    sizes = [round(n % 200 + 0.25, 2) for n in range(10_000)]
    answer = live.predict(key, {"columns": ["size"], "data": [[size] for size in sizes if size <= 200]}, "/v1/models/line/predict")
    assert [prediction["value"] for prediction in answer.json()["predictions"]] == [size for size in sizes if size <= 200]


def test_limit_fields_are_on_every_answer_of_a_prediction_path(live: Live, key: str) -> None:
    for answer in (live.predict(key, instances(IRIS_ROW)), live.predict(key, b"{")):
        assert "tenant-requests" in answer.headers["ratelimit"]
        assert "key-requests" in answer.headers["ratelimit-policy"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_prediction_is_asked_for_by_post(live: Live, key: str, method: str) -> None:
    answer = live.client.request(method, "/v1/models/iris/predict", headers={"authorization": f"Bearer {key}"})
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
