"""A predictor whose answers are led back: the engine is the newer model's, and what is told is the older contract's."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from gatehouse.contracts.output import Output
from gatehouse.errors import PredictionFailed
from gatehouse.serving.batching import Batching
from gatehouse.serving.bridged_predictor import BridgedPredictor
from gatehouse.serving.engine import Scores, Values
from gatehouse.serving.predictor import Predictor
from gatehouse.serving.workers import Workers

NEWER = Output("regression", (), ("value",), 1, None)


@dataclass
class Summing:
    """Answers the sum of a row."""

    classes: None = None
    name: str = "summing"
    inline_rows: int = 3
    own_labels: bool = False
    asked: list[int] = field(default_factory=list)

    def score(self, values: Values) -> Scores:
        self.asked.append(len(values))
        summed: Scores = values.sum(axis=1)
        return summed


class Halved:
    """The way back of a contract that answers half of it."""

    output = Output("regression", (), ("value",), 12, None)

    def told(self, answers: Sequence[Mapping[str, Any]], outputs: Sequence[str]) -> list[dict[str, Any]]:
        return [dict.fromkeys(outputs, answer["value"] / 2) for answer in answers]


def test_the_newer_models_unrounded_numbers_are_led_back() -> None:
    engine = Summing()
    newer = Predictor(engine, NEWER)
    bridged = BridgedPredictor(newer, Halved())
    values = np.array([[0.125, 0.25], [1.0, 2.0]])
    assert bridged.answer(values, ("half",)) == [{"half": 0.1875}, {"half": 1.5}]
    assert newer.answer(values, ("value",)) == [{"value": 0.4}, {"value": 3.0}]
    assert bridged.engine is newer.engine is engine
    assert (bridged.engine_name, bridged.fits_inline(3), bridged.fits_inline(4)) == ("summing", True, False)


def test_it_joins_where_the_newer_model_does() -> None:
    newer = Predictor(Summing(), NEWER)
    assert not BridgedPredictor(newer, Halved()).joins
    newer.joins = True
    assert BridgedPredictor(newer, Halved()).joins


def test_a_number_that_is_not_finite_fails_the_prediction() -> None:
    bridged = BridgedPredictor(Predictor(Summing(), NEWER), Halved())
    with pytest.raises(PredictionFailed) as raised:
        bridged.told(np.array([np.nan]), ("half",))
    assert raised.value.reason == "model_answered_not_finite"


def test_calls_that_are_joined_get_their_own_answers_and_those_of_either_contract_stay_apart() -> None:
    engine = Summing(inline_rows=0)
    newer = Predictor(engine, NEWER)
    newer.joins = True
    bridged = BridgedPredictor(newer, Halved())
    workers = Workers(2, 64)
    batching = Batching(workers)

    async def call(predictor: Predictor, number: float) -> Any:
        output = "half" if predictor is bridged else "value"
        values, lane = np.array([[number]]), "iris/v1" if predictor is bridged else "iris/v2"
        return await batching.run(predictor, values, lambda scores: predictor.told(scores, (output,)), lane=lane, deadline_s=20)

    async def all_of() -> list[Any]:
        return await asyncio.gather(*(call((bridged, newer)[number % 2], float(number)) for number in range(20)))

    answers = asyncio.run(all_of())
    assert answers == [[{"half": number / 2}] if number % 2 == 0 else [{"value": float(number)}] for number in range(20)]
    assert (batching.batches, sorted(engine.asked)) == (2, [10, 10])
    workers.close()
