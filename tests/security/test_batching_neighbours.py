"""Callers whose rows go into one model call with those of others: each gets its own answer, whatever the others send or do."""

import json
from typing import Any

import numpy as np
import pytest
from estimators import MODEL_CALLS, NAN_SIZE, RAISING_SIZE, RELEASE, SLOW_SIZE
from stage import Live, crowd_estimator, instances, problem, wait_until
from wire import Answer, Wire, post

from gatehouse.principal import Plan, Rate

PATH = "/v1/models/crowd/predict"
ROUNDS, HONEST = 40, 8
RANDOM = np.random.default_rng(11)


def row(size: float, weight: float = 2.5) -> dict[str, float]:
    return {"size": size, "weight": weight}


REFUSED: tuple[tuple[str, Any, int, str], ...] = (
    ("text for a number", instances({"size": "1", "weight": 2.5}), 422, "invalid_input"),
    ("a list for a number", instances({"size": [1, 2], "weight": 2.5}), 422, "invalid_input"),
    ("a row too short", {"columns": ["size", "weight"], "data": [[1, 2], [3]]}, 422, "invalid_input"),
    ("a row too long", {"columns": ["size", "weight"], "data": [[1, 2, 3]]}, 422, "invalid_input"),
    ("half of the columns", {"columns": ["size"], "data": [[1]]}, 422, "invalid_input"),
    ("no rows", {"instances": []}, 422, "invalid_input"),
    ("a shape that is claimed", {"instances": [row(1)], "shape": [5, 2]}, 422, "invalid_input"),
    ("a number that is none", b'{"instances": [{"size": NaN, "weight": 2.5}]}', 400, "invalid_json"),
    ("an output that there is not", instances(row(1)) | {"outputs": ["value"]}, 422, "invalid_input"),
)
TROUBLING: tuple[tuple[str, Any, int, str | None], ...] = (
    ("a row on which the model raises", instances(row(RAISING_SIZE)), 500, "prediction_failed"),
    ("such a row among good ones", instances(row(3), row(RAISING_SIZE), row(4)), 500, "prediction_failed"),
    ("a row that is answered by NaN", instances(row(5), row(NAN_SIZE)), 500, "prediction_failed"),
    ("other outputs", instances(row(6), row(7)) | {"outputs": ["probabilities"]}, 200, None),
    ("many rows", instances(*[row(8)] * 16), 200, None),
)


@pytest.fixture(scope="module")
def estimator() -> Any:
    """What scikit-learn itself answers, without the misbehaviour around it."""
    return crowd_estimator().inner_


@pytest.fixture
def held() -> Any:
    """The model waits on SLOW_SIZE until the test lets it go on."""
    RELEASE.clear()
    MODEL_CALLS.clear()
    yield
    RELEASE.set()


def sent(live: Live, key: str, body: Any) -> Wire:
    return Wire(live.port).send(post(key, body if isinstance(body, bytes) else json.dumps(body).encode(), path=PATH))


def held_model(live: Live, key: str) -> Wire:
    """A call that keeps the model busy, so that what comes after it is one batch."""
    seen = len(MODEL_CALLS)
    connection = sent(live, key, instances(row(SLOW_SIZE)))
    wait_until(lambda: len(MODEL_CALLS) > seen)
    return connection


def rows_in_line(live: Live) -> int:
    return sum(len(call.values) for line in live.app.batching._lines.values() for call in line.waiting)


def ended(connection: Wire) -> Answer:
    answer = connection.answer()
    connection.close()
    return answer


def assert_own(answer: Answer, estimator: Any, rows: list[tuple[float, float]]) -> None:
    """The answer is what scikit-learn says to just these rows."""
    assert answer.status == 200, answer.body
    predictions = answer.json()["predictions"]
    expected = estimator.predict_proba(np.array(rows))
    assert len(predictions) == len(rows)
    for told, own in zip(predictions, expected, strict=True):
        assert (told["probabilities"]["light"], told["probabilities"]["heavy"]) == pytest.approx(tuple(own), abs=2e-9)
        assert told["confidence"] == max(told["probabilities"].values())
        assert told["label"] == ("light", "heavy")[int(own.argmax())]


def test_320_honest_callers_beside_hostile_ones_each_get_their_own_answer(live: Live, estimator: Any, held: None) -> None:
    honest_key, hostile_key = live.stage.tenant("honest", "crowd"), live.stage.tenant("hostile", "crowd")
    joined = 0
    for _ in range(ROUNDS):
        RELEASE.clear()
        plug = held_model(live, hostile_key)
        wishes = [[tuple(cells) for cells in RANDOM.uniform(20, 200, (1 + place % 3, 2)).tolist()] for place in range(HONEST)]
        hostile: list[tuple[Wire, str, int, str | None]] = []
        honest: list[Wire] = []
        neighbours = [*REFUSED, *TROUBLING]
        RANDOM.shuffle(neighbours)
        for place, wish in enumerate(wishes):
            honest.append(sent(live, honest_key, instances(*(row(*cells) for cells in wish))))
            hostile.extend((sent(live, hostile_key, body), name, status, code) for name, body, status, code in neighbours[place::HONEST])
        waiting = sum(len(wish) for wish in wishes) + sum(len(body["instances"]) for _, body, *_ in TROUBLING)
        wait_until(lambda count=waiting: rows_in_line(live) == count)
        leaving = [sent(live, hostile_key, instances(row(9), row(10))) for _ in range(2)]
        wait_until(lambda count=waiting: rows_in_line(live) == count + 4)
        leaving[0].reset()
        leaving[1].close()
        wait_until(lambda count=waiting: rows_in_line(live) == count)
        MODEL_CALLS.clear()
        RELEASE.set()
        for connection, wish in zip(honest, wishes, strict=True):
            assert_own(ended(connection), estimator, wish)
        for connection, name, status, code in hostile:
            answer = ended(connection)
            assert (answer.status, answer.json().get("code")) == (status, code), name
        assert ended(plug).status == 200
        joined += MODEL_CALLS[0] == waiting
    assert joined == ROUNDS, "the rows of all callers, and no others, were in one call of the model"
    wait_until(lambda: not live.app.batching._lines and live.app.limits.concurrency.inside.get("hostile") is None)


def test_without_troubling_rows_the_callers_of_a_round_share_one_model_call(live: Live, estimator: Any, held: None) -> None:
    key = live.stage.tenant("peaceful", "crowd")
    plug = held_model(live, key)
    wishes = [(20.0 + place, 30.0) for place in range(12)]
    callers = [sent(live, key, instances(row(*wish))) for wish in wishes]
    wait_until(lambda: rows_in_line(live) == 12)
    RELEASE.set()
    for caller, wish in zip(callers, wishes, strict=True):
        assert_own(ended(caller), estimator, [wish])
    ended(plug)
    assert MODEL_CALLS == [1, 12]


def test_rows_of_a_failed_neighbour_and_of_one_who_left_are_not_metered(live: Live, held: None) -> None:
    live.stage.plan(Plan("five_rows", Rate(1000, 1, 1000), Rate(1000, 1, 1000), 5, "hard", 5, 2048))
    key = live.stage.tenant("five-rows", "crowd", plan="five_rows")
    other = live.stage.tenant("busy", "crowd")
    plug = held_model(live, other)
    failing = sent(live, key, instances(row(RAISING_SIZE), row(2)))
    leaving = sent(live, key, instances(row(3), row(4), row(5)))
    wait_until(lambda: rows_in_line(live) == 5)
    leaving.close()
    wait_until(lambda: rows_in_line(live) == 2)
    RELEASE.set()
    assert ended(failing).status == 500
    assert ended(plug).status == 200
    assert live.predict(key, instances(*[row(1)] * 5), PATH).status_code == 200
    problem(live.predict(key, instances(row(1)), PATH), 429, "quota_exhausted")
    wait_until(lambda: len(live.get("/account/usage", key).json()["usage"]) == 3)
    assert {line["status"]: line["rows"] for line in live.get("/account/usage", key).json()["usage"]} == {200: 5, 499: 0, 500: 0}


def test_a_model_that_is_stuck_does_not_hold_up_another_one(live: Live, held: None) -> None:
    key = live.stage.tenant("two-models", "crowd", "line", "mixed")
    plug = held_model(live, key)
    large = sent(live, key, instances(*[row(SLOW_SIZE)] * 20))
    wait_until(lambda: 20 in MODEL_CALLS)
    assert live.predict(key, instances({"size": 7}), "/v1/models/line/predict").json()["predictions"] == [{"value": 7.0}]
    assert live.predict(key, instances(*[{"size": 7}] * 100), "/v1/models/line/predict").status_code == 200
    RELEASE.set()
    assert [ended(plug).status, ended(large).status] == [200, 200]
