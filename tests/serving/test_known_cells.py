"""Rows that are tried hold what the estimator knows by heart, within the contract, and its neighbours."""

from typing import Any

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from gatehouse.contracts.contract import parse_contract
from gatehouse.serving.facts import facts_of
from gatehouse.serving.known_cells import KnownCells
from gatehouse.serving.space import draw_rows, widened

TOML = """
format = 1
model = "m"
api_version = "v1"
[features.colour]
type = "category"
allowed = ["red", "green"]
example = "red"
[features.note]
type = "text"
example = "a few words"
[features.code]
type = "integer"
minimum = 100
maximum = 900000
example = 150
[features.share]
type = "number"
minimum = 0
maximum = 1000000
example = 0.5
[features.flag]
type = "boolean"
example = true
[output]
task = "regression"
"""
FEATURES = parse_contract(TOML.encode(), "test").features
KNOWN = KnownCells(texts=("violet",), words=("refund", "late"), numbers=(7.0, 333_333.0, 0.123456789))


def drawn(known: KnownCells) -> dict[str, list[Any]]:
    columns = zip(*draw_rows(FEATURES, 2000, seed=3, known=known), strict=True)
    return {feature.name: list(cells) for feature, cells in zip(FEATURES, columns, strict=True)}


def test_categories_words_and_numbers_stand_in_some_of_the_rows() -> None:
    columns = drawn(KNOWN)
    notes = columns["note"]
    assert 400 < notes.count("violet") < 800
    for word in ("refund", "REFUND", "Refund", "late", "日本語"):
        assert sum(word in note for note in notes) > 20
    assert sum("refund" in note and "\n" in note for note in notes) > 20
    for number in (333_332, 333_333, 333_334):
        assert columns["code"].count(number) > 10
    assert columns["share"].count(0.123456789) > 10
    assert columns["share"].count(7.0) > 10


def test_nothing_is_drawn_that_the_contract_does_not_allow() -> None:
    columns = drawn(KNOWN)
    assert set(columns["colour"]) == {"red", "green"}
    assert set(columns["flag"]) == {True, False}
    assert all(100 <= code <= 900_000 and code == int(code) for code in columns["code"])


def test_without_anything_known_the_rows_are_as_before() -> None:
    assert drawn(KnownCells()) == drawn(KnownCells(texts=()))
    assert "violet" not in drawn(KnownCells())["note"]


@pytest.mark.parametrize(("known", "hidden"), [(KNOWN, {"note", "code", "share"}), (KnownCells(), set())], ids=["known", "nothing"])
def test_what_the_estimator_knows_is_written_nowhere(known: KnownCells, hidden: set[str]) -> None:
    assert {feature.name for feature in FEATURES if widened(feature, {}, known)} == hidden


def test_an_estimator_tells_its_words_its_stop_words_and_its_categories() -> None:
    columns = make_column_transformer(
        (TfidfVectorizer(stop_words=["the"]), 0), (OneHotEncoder(), [1]), (OneHotEncoder(), [2]), (OneHotEncoder(), [3])
    )
    rows = [["the late refund", "red", 3.5, True], ["late again", "blue", float("nan"), False]]
    known = facts_of(make_pipeline(columns, LinearRegression()).fit(np.array(rows, dtype=object), [1, 2])).known
    assert known == KnownCells(("blue", "red"), ("again", "late", "refund", "the"), (3.5,))
