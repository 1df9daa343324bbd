"""The predictor: what the contract promises, to its decimals, and nothing else."""

import json
from dataclasses import dataclass, field

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from outputs import Label, Output

from gatehouse.errors import PredictionFailed
from gatehouse.serving.predictor import Predictor

ALL = ("label", "confidence", "probabilities")


@dataclass
class FakeEngine:
    """Answers the scores that it was given."""

    scores: object
    classes: tuple | None = (0, 1)
    name: str = "fake"
    inline_rows: int = 8
    own_labels: bool = False
    asked: list = field(default_factory=list)

    def score(self, values):
        if isinstance(self.scores, Exception):
            raise self.scores
        return np.asarray(self.scores, dtype=np.float64)


REGRESSION = Output(task="regression", labels=(), returns=("value",), decimals=2)


def _answer(scores, outputs=ALL, output=None, classes=(0, 1)):
    """What is told, and that the texts say the same to the byte."""
    count = len(scores) if not isinstance(scores, Exception) else 1
    predictor, values = Predictor(FakeEngine(scores, classes), output or Output()), np.zeros((count, 2))
    texts = _ended(lambda: predictor.texts(predictor.score(values), outputs))
    told = _ended(lambda: predictor.answer(values, outputs))
    if isinstance(told, PredictionFailed):
        assert (type(texts), texts.reason) == (type(told), told.reason)
        raise told
    assert texts == [msgspec.json.encode(row) for row in told]
    return told


def _ended(does):
    try:
        return does()
    except PredictionFailed as error:
        return error


@given(st.data())
def test_texts_say_what_is_told_whatever_labels_are_called(data):
    names = data.draw(
        st.lists(st.text(min_size=1, max_size=5) | st.sampled_from(["%", "%b", '"', "\\", "é"]), min_size=2, max_size=4, unique=True)
    )
    output = Output(labels=tuple(Label(cls, name) for cls, name in enumerate(names)), decimals=data.draw(st.integers(0, 6)))
    row = st.lists(st.floats(0, 1), min_size=len(names), max_size=len(names))
    scores = data.draw(st.lists(row, min_size=1, max_size=5))
    outputs = data.draw(st.sampled_from([ALL, ("label",), ("confidence", "label"), ("probabilities",)]))
    _answer(scores, outputs, output, tuple(range(len(names))))


def test_labels_confidence_and_probabilities_are_named_by_the_contract():
    assert _answer([[0.25, 0.75]]) == [{"label": "high", "confidence": 0.75, "probabilities": {"low": 0.25, "high": 0.75}}]


def test_top_k_keeps_the_most_probable_labels_in_the_contracts_order():
    output = Output(labels=(Label(2, "c"), Label(0, "a"), Label(1, "b")), top_k=2)
    answers = _answer([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4], [0.3, 0.3, 0.4], [1 / 3] * 3], output=output, classes=(0, 1, 2))
    assert [list(answer["probabilities"].items()) for answer in answers] == [
        [("c", 0.3), ("b", 0.5)],
        [("c", 0.4), ("a", 0.4)],
        [("c", 0.4), ("a", 0.3)],
        [("a", 0.3333), ("b", 0.3333)],
    ]
    assert all(answer["label"] in answer["probabilities"] for answer in answers)
    assert all(answer["confidence"] == answer["probabilities"][answer["label"]] for answer in answers)
    assert _answer([[0.2, 0.5, 0.3]], output=output, classes=(0, 1, 2)) == answers[:1]


def test_columns_follow_the_models_classes_and_members_the_contracts_labels():
    output = Output(labels=(Label("b", "B"), Label("a", "A"), Label("c", "C")))
    (answer,) = _answer([[0.6, 0.3, 0.1]], output=output, classes=("a", "b", "c"))
    assert answer == {"label": "A", "confidence": 0.6, "probabilities": {"B": 0.3, "A": 0.6, "C": 0.1}}
    assert list(answer["probabilities"]) == ["B", "A", "C"]


@pytest.mark.parametrize("outputs", [("label",), ("probabilities", "label"), ("confidence",), ALL])
def test_only_the_outputs_asked_for_are_answered_in_their_order(outputs):
    for rows in (1, 3):
        for answer in _answer([[0.25, 0.75]] * rows, outputs):
            assert tuple(answer) == outputs


def test_in_a_tie_the_models_first_class_wins_as_in_scikit_learn():
    for rows in (1, 2):
        assert [answer["label"] for answer in _answer([[0.5, 0.5]] * rows)] == ["low"] * rows


def test_a_value_is_rounded_and_never_minus_zero():
    assert _answer([1.001, -0.001, 2.671, -7.129], output=REGRESSION, classes=None) == [
        {"value": 1.0}, {"value": 0.0}, {"value": 2.67}, {"value": -7.13}
    ]  # fmt: skip
    assert json.dumps(_answer([-0.001], output=REGRESSION, classes=None)) == '[{"value": 0.0}]'
    assert json.dumps(_answer([-0.001] * 2, output=REGRESSION, classes=None)) == '[{"value": 0.0}, {"value": 0.0}]'


def test_a_huge_value_stays_as_it_is():
    for scores in ([1.7e308], [1.7e308, -1.7e308]):
        assert [answer["value"] for answer in _answer(scores, output=REGRESSION, classes=None)] == scores


@given(arrays(np.float64, st.integers(2, 20), elements=st.floats(-1e12, 1e12)), st.integers(0, 10))
def test_one_row_and_many_rows_are_rounded_the_same(scores, decimals):
    output = Output(task="regression", labels=(), returns=("value",), decimals=decimals)
    batch = _answer(scores, output=output, classes=None)
    single = [_answer(scores[place : place + 1], output=output, classes=None)[0] for place in range(len(scores))]
    assert batch == single
    assert all(abs(answer["value"] - score) <= 0.51 * 10.0**-decimals + 1e-3 for answer, score in zip(batch, scores, strict=True))


@given(arrays(np.float64, (3, 2), elements=st.floats(0, 1)), st.integers(0, 6))
def test_row_64_no_answer_has_more_decimals_than_the_contract(scores, decimals):
    for answer in _answer(scores, output=Output(decimals=decimals)):
        for number in (answer["confidence"], *answer["probabilities"].values()):
            assert number == round(number, decimals)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rows", [1, 3])
def test_a_number_that_is_not_finite_fails_the_call(bad, rows):
    with pytest.raises(PredictionFailed) as classified:
        _answer([[0.5, 0.5]] * (rows - 1) + [[bad, 0.5]])
    with pytest.raises(PredictionFailed) as valued:
        _answer([1.0] * (rows - 1) + [bad], output=REGRESSION, classes=None)
    assert classified.value.reason == valued.value.reason == "model_answered_not_finite"


def test_row_71_failing_model_betrays_neither_value_nor_class():
    with pytest.raises(PredictionFailed) as caught:
        _answer(ValueError("Found unknown category 'canary-4711' in RandomForestClassifier"))
    public = json.dumps([caught.value.detail, str(caught.value), caught.value.title, caught.value.members])
    assert "4711" not in public + caught.value.reason
    assert "Error" not in public
    assert "Forest" not in public
    assert caught.value.reason == "model_raised:ValueError"
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("scores", [[[0.1, 0.9]] * 2, [[1.0]], [0.5], [[0.1, 0.2, 0.7]]], ids=str)
def test_a_model_that_answers_another_number_of_rows_or_classes_fails_the_call(scores):
    with pytest.raises(PredictionFailed) as caught:
        Predictor(FakeEngine(scores), Output()).answer(np.zeros((1, 2)), ALL)
    assert caught.value.reason == "model_answered_wrong_shape"


@pytest.mark.parametrize("classes", [(0,), (0, 1, 2), (0, 2), ("0", "1")])
def test_classes_without_a_name_are_refused(classes):
    with pytest.raises(ValueError, match="not those of the contract"):
        Predictor(FakeEngine([], classes), Output())


def test_small_calls_fit_inline_by_the_engines_own_measure():
    predictor = Predictor(FakeEngine([]), Output())
    assert predictor.fits_inline(8)
    assert not predictor.fits_inline(9)
    assert predictor.engine_name == "fake"
