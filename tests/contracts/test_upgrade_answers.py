"""Answers of the newer contract made into what the older one promised, and rules that would lose something on the way."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from upgrade_text import COUNT, LABELS, contract, rules_text

from gatehouse.contracts.contract import ContractInvalid
from gatehouse.contracts.output import MAX_DECIMALS
from gatehouse.contracts.upgrade import Upgrade, bind_upgrade
from gatehouse.contracts.upgrade_answers import AnswersBack
from gatehouse.errors import PredictionFailed
from gatehouse.serving.answers import LabelAnswers

PETS = '[output]\ntask = "classification"\nlabels = [{class = 0, name = "cat"}, {class = 1, name = "dog"}, {class = 2, name = "none"}]\n'
BREEDS = (
    '[output]\ntask = "classification"\n'
    'labels = [{class = 0, name = "poodle"}, {class = 1, name = "cat"}, {class = 2, name = "collie"}, {class = 3, name = "none"}]\n'
)
DOGS = 'labels = {poodle = "dog", collie = "dog"}\nmerged = ["dog"]'
VALUE = '[output]\ntask = "regression"\nunit = "EUR"\ndecimals = 2\n'
CENTS = '[output]\ntask = "regression"\nunit = "ct"\ndecimals = 0\n'
RENT = '[output.targets.rent]\ntask = "regression"\nunit = "EUR"\n'
NOISE = '[output.targets.noise]\ntask = "classification"\nlabels = [{class = 0, name = "no"}, {class = 1, name = "yes"}]\n'
LOUD = NOISE.replace('"no"', '"quiet"').replace('"yes"', '"loud"').replace("noise", "sound")
SEVERAL = '[output]\ntask = "multioutput"\n'
ALL = ("label", "confidence", "probabilities")


def bound(old: str, new: str, answer: str = "", options: str = "") -> Upgrade:
    text = rules_text(answer=answer, options=options)
    return bind_upgrade(contract("v1", {"a": COUNT}, old), contract("v2", {"a": COUNT}, new, text), "v2.toml")


def back(old: str, new: str, answer: str = "") -> AnswersBack:
    answers = bound(old, new, answer).answers
    assert answers is not None
    return answers


def labelled(label: str, **probabilities: float) -> dict[str, Any]:
    return {"label": label, "confidence": probabilities[label], "probabilities": probabilities}


def test_labels_get_their_old_names_in_the_old_order_to_the_old_decimals() -> None:
    swapped = LABELS.replace('"no"', '"true"').replace('"yes"', '"false"')
    told = back(LABELS + "decimals = 2\n", swapped + "decimals = 1\ntop_k = 1\n", 'labels = {"true" = "yes", "false" = "no"}')
    assert told.told([labelled("true", true=0.98765, false=0.01235)], ALL) == [
        {"label": "yes", "confidence": 0.99, "probabilities": {"no": 0.01, "yes": 0.99}}
    ]
    assert list(told.told([labelled("true", true=0.98765, false=0.01235)], ("probabilities",))[0]["probabilities"]) == ["no", "yes"]
    assert (told.output.decimals, told.output.top_k) == (MAX_DECIMALS, None)


def test_the_label_is_the_newer_models_own_where_nothing_is_merged() -> None:
    assert back(LABELS, LABELS).told([labelled("yes", yes=0.4, no=0.6)], ALL) == [
        {"label": "yes", "confidence": 0.4, "probabilities": {"no": 0.6, "yes": 0.4}}
    ]


def test_probabilities_of_merged_labels_are_summed_and_decide_the_label() -> None:
    told = back(PETS, BREEDS, DOGS)
    assert told.told([labelled("cat", poodle=0.3, cat=0.4, collie=0.3, none=0.0)], ALL) == [
        {"label": "dog", "confidence": 0.6, "probabilities": {"cat": 0.4, "dog": 0.6, "none": 0.0}}
    ]
    tie = labelled("cat", poodle=0.25, cat=0.5, collie=0.25, none=0.0)
    assert told.told([tie], ("label",)) == [{"label": "cat"}]


def test_a_sum_is_never_above_one() -> None:
    third = 0.3333333334
    told = back(
        PETS + "decimals = 10\n", BREEDS, 'labels = {poodle = "dog", collie = "dog", cat = "dog"}\nmerged = ["dog"]\nnever = ["cat"]'
    )
    assert told.told([labelled("cat", poodle=third, cat=third, collie=third, none=0.0)], ("confidence",)) == [{"confidence": 1.0}]


def test_a_label_that_comes_no_more_keeps_its_place_with_no_probability() -> None:
    told = back(PETS, LABELS, 'labels = {no = "cat", yes = "dog"}\nnever = ["none"]')
    assert told.told([labelled("yes", no=0.25, yes=0.75)], ALL)[0]["probabilities"] == {"cat": 0.25, "dog": 0.75, "none": 0.0}


def test_the_old_top_k_holds() -> None:
    told = back(PETS + "top_k = 2\n", BREEDS, DOGS)
    answer = labelled("collie", poodle=0.1, cat=0.3, collie=0.5, none=0.1)
    assert told.told([answer], ("probabilities",)) == [{"probabilities": {"cat": 0.3, "dog": 0.6}}]


def test_a_label_alone_goes_back_alone_also_where_labels_are_merged() -> None:
    only = 'returns = ["label"]\n'
    assert back(PETS + only, BREEDS + only, DOGS).told([{"label": "collie"}], ("label",)) == [{"label": "dog"}]
    assert back(PETS + only, BREEDS + 'returns = ["probabilities"]\n', DOGS).told(
        [{"probabilities": {"poodle": 0.1, "cat": 0.2, "collie": 0.1, "none": 0.6}}], ("label",)
    ) == [{"label": "none"}]


def test_values_are_scaled_to_the_old_unit_and_rounded_to_its_decimals() -> None:
    told = back(VALUE, CENTS, "factor = 0.01\noffset = -1")
    assert told.told([{"value": 12345.6}, {"value": 0.0}], ("value",)) == [{"value": 122.46}, {"value": -1.0}]


def test_targets_are_renamed_and_only_those_that_the_old_contract_answers_go_back() -> None:
    answer = '[upgrade.from.v1.answer.targets.noise]\nfrom = "sound"\nlabels = {quiet = "no", loud = "yes"}'
    text = rules_text() + answer
    rules = contract("v2", {"a": COUNT}, SEVERAL + RENT + LOUD + RENT.replace("rent", "extra"), text)
    told = bind_upgrade(contract("v1", {"a": COUNT}, SEVERAL + NOISE + RENT), rules, "v2.toml").answers
    assert told is not None
    answers = [{"rent": {"value": 1.23456}, "sound": labelled("loud", quiet=0.1, loud=0.9), "extra": {"value": 7.0}}]
    assert told.told(answers, ("noise", "rent")) == [
        {"noise": {"label": "yes", "confidence": 0.9, "probabilities": {"no": 0.1, "yes": 0.9}}, "rent": {"value": 1.2346}}
    ]
    assert [target.output.decimals for target in told.output.targets] == [MAX_DECIMALS] * 3


def test_one_of_several_targets_becomes_the_only_output() -> None:
    told = back(VALUE, SEVERAL + RENT + NOISE, 'from = "rent"')
    assert told.told([{"rent": {"value": 2.555}, "noise": {}}], ("value",)) == [{"value": 2.56}]


@pytest.mark.parametrize("value", [1e308, -1e308])
def test_a_value_that_leaves_the_doubles_fails_as_a_prediction(value: float) -> None:
    with pytest.raises(PredictionFailed):
        back(VALUE, CENTS, "factor = 1e30").told([{"value": value}], ("value",))


def test_one_way_rules_give_no_answers_back() -> None:
    assert bound(VALUE, LABELS, options="one_way = true").answers is None


@pytest.mark.parametrize(
    ("old", "new", "answer", "expected"),
    [
        (VALUE, LABELS, "", "cannot make a regression of a classification; name another target with from, or write one_way = true"),
        (PETS, BREEDS, "", '"poodle" is no label of the older contract; write labels = {"poodle" = …} with one of cat, dog, none'),
        (PETS, BREEDS, 'labels = {poodle = "dgo", collie = "dog"}', 'loses "poodle": "dgo" is no label of the older contract'),
        (PETS, BREEDS, DOGS.partition("\n")[0], 'makes "dog" the sum of several labels; if that is meant, write merged = ["dog"]'),
        (PETS, BREEDS, DOGS.replace('["dog"]', '["dog", "cat"]'), 'merged has "cat", which is not the sum of several labels; remove it'),
        (PETS, LABELS, 'labels = {no = "cat", yes = "dog"}', 'makes "none" what no label leads to any more; if that is meant, write never'),
        (LABELS, LABELS, 'never = ["no"]', 'never has "no", which is not what no label leads to any more; remove it'),
        (LABELS, LABELS, 'labels = {nope = "no"}', 'labels has "nope", which is no label of this contract; did you mean no?'),
        (LABELS, LABELS, "factor = 2", "has factor or offset, but the answer is a label"),
        (VALUE, VALUE, 'labels = {no = "yes"}', "maps labels, but the answer is a value"),
        (VALUE, CENTS, "", "gives a value in ct back as EUR; write for example: factor = 0.1"),
        (LABELS, LABELS + 'returns = ["label"]\n', "", "cannot make confidence: output.returns of this contract lacks confidence and prob"),
        (
            PETS,
            BREEDS + 'returns = ["label", "confidence"]\n',
            DOGS,
            "cannot make confidence: output.returns of this contract lacks probabi",
        ),
        (VALUE, VALUE, 'from = "rent"', "takes the target rent, but this contract answers one output; remove from"),
        (VALUE, SEVERAL + RENT + NOISE, "", "needs from, the target that it comes from; known are rent, noise"),
        (VALUE, SEVERAL + RENT + NOISE, 'from = "rnt"', "comes from rnt, which is no target that is answered; did you mean rent?"),
        (SEVERAL + RENT + NOISE, VALUE, "", "answer rent takes the target rent, but this contract answers one output"),
        (
            SEVERAL + RENT + NOISE,
            SEVERAL + RENT + NOISE,
            'from = "rent"',
            "is for no target that the older contract answers; known are rent, noise",
        ),
        (VALUE, VALUE, "[upgrade.from.v1.answer.targets.rent]", "names a target, but the older contract answers one output"),
    ],
)
def test_a_lossy_way_back_is_refused_with_the_facts(old: str, new: str, answer: str, expected: str) -> None:
    with pytest.raises(ContractInvalid) as raised:
        bound(old, new, answer)
    assert expected in str(raised.value)
    assert "upgrade" in str(raised.value)


@given(
    st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=5), st.integers(0, 6), st.sampled_from([None, 1, 2])
)
@settings(max_examples=100, deadline=None)
def test_an_answer_goes_back_as_the_older_model_would_have_been_told(scores: list[list[float]], decimals: int, top_k: int | None) -> None:
    lines = f"decimals = {decimals}\n" + (f"top_k = {top_k}\n" if top_k else "")
    told = back(PETS + lines, PETS)
    old = contract("v1", {"a": COUNT}, PETS + lines).output
    rounded = np.round(np.array(scores), MAX_DECIMALS)
    served = LabelAnswers(told.output, (0, 1, 2), own_labels=False).told(rounded, ALL)
    assert told.told(served, ALL) == LabelAnswers(old, (0, 1, 2), own_labels=False).told(rounded, ALL)
