"""An estimator that raises on rows of its contract: which field is to blame, in its own words, in one line."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from gatehouse.contracts.contract import parse_contract
from gatehouse.serving.culprits import MOST_FEATURES, find_culprits
from gatehouse.serving.estimator_elsewhere import EstimatorElsewhere
from gatehouse.serving.own_words import MOST, first_sentence, named
from gatehouse.serving.publish import PublishRefused
from gatehouse.serving.reference import ask_reference
from gatehouse.serving.runtime import HERE
from gatehouse.serving.space import draw_rows, to_values

ROWS = np.random.default_rng(11).normal(size=(120, 2))
CLASSES = (ROWS[:, 0] > ROWS[:, 1]).astype(int)
COLOURED = """
format = 1
model = "pair"
api_version = "v1"
[features.width]
type = "number"
minimum = -4
maximum = 4
example = 0.5
[features.colour]
type = "category"
allowed = ["red", "green", "blue"]
example = "red"
[output]
task = "classification"
labels = [{class = 0, name = "low"}, {class = 1, name = "high"}]
"""


class Picky(ClassifierMixin, BaseEstimator):
    """Raises where `check` says so, with `words`."""

    classes_ = np.array([0, 1])
    n_features_in_ = 2

    def __init__(self, check, words):
        self.check, self.words = check, words

    def predict_proba(self, rows):
        if any(self.check(row) for row in rows):
            raise ArithmeticError(self.words)
        return np.tile([0.25, 0.75], (len(rows), 1))

    def predict(self, rows):
        return self.classes_[self.predict_proba(rows).argmax(axis=1)]


def refusal(estimator, toml):
    contract = parse_contract(toml.encode(), "test")
    values = to_values(contract.features, draw_rows(contract.features, 200, 1))
    with pytest.raises(PublishRefused) as refused:
        ask_reference(estimator, values, contract)
    return str(refused.value)


def test_the_column_of_a_category_that_the_estimator_does_not_know_is_named():
    rows = np.array([[width, ("red", "green")[place % 2]] for place, (width, _) in enumerate(ROWS)], dtype=object)
    encoder = make_column_transformer((OrdinalEncoder(), [1]), remainder="passthrough")
    said = refusal(make_pipeline(encoder, LogisticRegression()).fit(rows, CLASSES), COLOURED)
    assert said == (
        "the estimator raises on rows that the contract allows, by what stands in 'colour'"
        " (ValueError: Found unknown categories ['blue'] in column 0 during transform):"
        " narrow type, bounds or allowed values of 'colour' in the contract to what the estimator takes"
    )


def test_a_column_of_the_wrong_type_is_named_by_the_text_that_the_estimator_complains_of():
    said = refusal(LogisticRegression().fit(ROWS, CLASSES), COLOURED)
    assert "by what stands in 'colour' (ValueError: could not convert string to float: 'red'): narrow type, bounds" in said


def test_every_field_that_raises_alone_is_named_and_of_many_the_first_ones(pair_toml):
    fields = "".join(f'[features.f{place}]\ntype = "number"\nminimum = 0\nmaximum = 9\nexample = 1\n' for place in range(6))
    toml = pair_toml[: pair_toml.index("[features.width]")] + fields + pair_toml[pair_toml.index("[output]") :]
    assert "in 'f0', 'f1', 'f2', 3 more (ArithmeticError: no)" in refusal(Picky(lambda row: min(row) != 1 or max(row) != 1, "no"), toml)
    assert "in 'f4' (ArithmeticError: no)" in refusal(Picky(lambda row: row[4] > 8.5, "no"), toml)


def test_where_only_fields_together_raise_none_is_blamed(pair_toml):
    said = refusal(Picky(lambda row: row[0] < -2 and row[1] > 2, "too far"), pair_toml)
    assert said == (
        "the estimator raises on rows that the contract allows (ArithmeticError: too far): narrow the contract to what the estimator takes"
    )


def test_an_estimator_in_another_python_is_asked_no_further(pair, pair_toml):
    """Each question to it takes seconds, and its words stay there."""
    said = refusal(EstimatorElsewhere(pair, HERE), pair_toml.replace("example = 0.5", "example = 0.5\nnullable = true"))
    assert said == "the estimator raises on rows that the contract allows (ValueError): forbid null, or put an imputer in front"


def test_rows_that_raise_only_together_blame_nothing():
    def ask(values):
        if len(values) > 3:
            raise ValueError("too many")

    found = find_culprits(ask, ROWS, ROWS[:1], ValueError("too many"))
    assert (str(found.error), found.places, found.nulls) == ("too many", (), False)


def test_a_wide_table_is_not_tried_without_end():
    asked, wide = [], np.ones((2, MOST_FEATURES * 3))

    def ask(values):
        asked.append(values)
        if not values.all():
            raise ValueError("zero")

    found = find_culprits(ask, np.zeros_like(wide), wide[:1], ValueError("zero"))
    assert len(found.places) == MOST_FEATURES
    assert len(asked) < MOST_FEATURES + 10


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("Input X contains NaN.\nIt does not take it.", "ValueError: Input X contains NaN"),
        ("No. You may raise an issue at https://example.org/issues.", "ValueError: No"),
        ("only a.b.C is taken, e.g. Ridge", "ValueError: only a.b.C is taken, e.g. Ridge"),
        ("", "ValueError"),
        ("\n\n", "ValueError"),
        ("red\x1b[31m\ttext", "ValueError: red [31m text"),
    ],
)
def test_the_words_of_a_library_are_one_plain_sentence(words, said):
    assert named(ValueError(words)) == said


def test_long_words_are_cut():
    assert first_sentence(ValueError("x" * 500)) == "x" * (MOST - 1) + "…"
    assert first_sentence(ValueError("x" * MOST)) == "x" * MOST
