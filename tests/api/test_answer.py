"""Writing and sending answers: in steps and in parts they are the same bytes, and everybody else gets a turn in between."""

import asyncio
import itertools
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from outputs import Output
from stage import IRIS_ROW, Live

from gatehouse.api.answer import SCORES_A_STEP, head_of, send_answer, written, written_in_steps
from gatehouse.call import Call
from gatehouse.errors import PredictionFailed
from gatehouse.serving.predictor import Predictor


@dataclass(frozen=True)
class Engine:
    classes: tuple | None
    name: str = "none"
    own_labels: bool = False
    inline_rows: int = 8


CLASSES = Predictor(Engine((0, 1)), Output())
VALUES = Predictor(Engine(None), Output(task="regression", labels=(), returns=("value",), decimals=2))


def called() -> Call:
    return Call("req_1", 0, model="iris", model_version="1.0.0", api_version="v1")


def scores_of(rows: int, classes: bool) -> np.ndarray:
    drawn = np.random.default_rng(rows).random(rows)
    return np.column_stack((drawn, 1 - drawn)) if classes else drawn


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(1, 2 * SCORES_A_STEP + 3), classes=st.booleans(), one_output=st.booleans())
def test_steps_write_the_bytes_that_one_step_writes(rows: int, classes: bool, one_output: bool) -> None:
    predictor, outputs = (CLASSES, ("label",) if one_output else ("label", "confidence")) if classes else (VALUES, ("value",))
    scores, pauses = scores_of(rows, classes), []
    parts = written_in_steps(predictor, outputs, called(), scores, lambda: pauses.append(1))
    assert b"".join(parts) == b"".join(written(predictor, outputs, called(), scores))
    assert len(pauses) == -(-scores.size // SCORES_A_STEP)


def test_a_number_that_is_not_finite_fails_the_whole_answer_also_in_a_late_step() -> None:
    scores = scores_of(3 * SCORES_A_STEP, classes=False)
    scores[-1] = np.nan
    with pytest.raises(PredictionFailed):
        written_in_steps(VALUES, ("value",), called(), scores, lambda: None)


def test_others_get_a_turn_between_the_parts_also_where_the_caller_takes_them_at_once() -> None:
    happened: list[str] = []

    async def send(message: Any) -> None:
        happened.append(message["type"])

    async def other() -> None:
        while True:
            happened.append("turn")
            await asyncio.sleep(0)

    async def both() -> None:
        beside = asyncio.ensure_future(other())
        call = called()
        call.bytes_out = 4
        await send_answer(send, call, [b"[", b"1", b",", b"]"])
        beside.cancel()

    asyncio.run(both())
    bodies = [at for at, what in enumerate(happened) if what == "http.response.body"]
    assert len(bodies) == 4
    assert all("turn" in happened[before:after] for before, after in itertools.pairwise(bodies))


def test_a_bulk_answer_comes_whole_with_its_length(live: Live) -> None:
    key = live.stage.tenant("bulk", "iris", plan="standard")
    columns = {"columns": list(IRIS_ROW), "data": [list(IRIS_ROW.values())] * 5_000}
    answer = live.predict(key, columns)
    assert answer.status_code == 200, answer.text
    assert int(answer.headers["content-length"]) == len(answer.content)
    predictions = json.loads(answer.content)["predictions"]
    assert len(predictions) == 5_000
    assert predictions == [predictions[0]] * 5_000


def test_the_head_names_model_versions_and_request() -> None:
    assert head_of(called()) == {"model": "iris", "model_version": "1.0.0", "api_version": "v1", "request_id": "req_1"}
