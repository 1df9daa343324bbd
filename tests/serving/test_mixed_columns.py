"""Models of texts, categories and numbers in ONNX: the same answers as scikit-learn's, or scikit-learn itself and the reason."""

import sys
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from gatehouse.errors import PredictionFailed
from gatehouse.serving.engines.onnx import OnnxEngine
from gatehouse.serving.graph_inputs import NULL, GraphInput, inputs_for, inputs_of
from gatehouse.serving.publish import Publication
from gatehouse.serving.registry import NotServable

_DICE = np.random.default_rng(8)
COUNT = 150
WORDS = ("late", "broken", "great", "refund", "Zürich", "über", "don't", "x9", "ΟΔΟΣ", "naïve")
TABLE = np.array(
    [
        [
            None if _DICE.random() < 0.1 else float(_DICE.integers(1, 90)),
            int(_DICE.choice([2**24, 2**24 + 1, 2**24 + 2])),
            bool(_DICE.random() < 0.5),
            _DICE.choice(["red", "blåbær", None]),
            _DICE.choice(["", "Bern", "ZÜRICH"]),
            " ".join(_DICE.choice(WORDS, 5)),
        ]
        for _ in range(COUNT)
    ],
    dtype=object,
)
AGE, BIG, FLAG, COLOUR, CITY, NOTE = range(6)
LEAVES = np.array(["leaves" if ("refund" in row[NOTE]) ^ row[FLAG] ^ (row[COLOUR] == "red") else "stays" for row in TABLE])
TOML = """
format = 1
model = "pair"
api_version = "v1"
[features.age]
type = "number"
nullable = true
minimum = 0
maximum = 120
example = 40
[features.big]
type = "integer"
minimum = 0
maximum = 999999999
example = 16777216
[features.flag]
type = "boolean"
example = true
[features.colour]
type = "category"
allowed = ["red", "blåbær", "unseen"]
nullable = true
example = "red"
[features.city]
type = "text"
example = "Bern"
[features.note]
type = "text"
example = "a late refund"
[output]
task = "classification"
labels = [{class = "leaves", name = "leaves"}, {class = "stays", name = "stays"}]
decimals = 6
"""
ODD_TEXTS = (
    "",
    " ",
    "a",
    "ÜBER den Straßen",
    "ΟΔΟΣ οδος",
    "İstanbul",
    "REFUND",
    "refund\x00late",
    "日本 語 refund",
    NULL,
    "\ufdd1null",
    "x" * 5000,
)


def of(*columns: Any) -> Any:
    return ColumnTransformer(list(columns))


def filled(missing: Any = None) -> Any:
    return make_pipeline(SimpleImputer(missing_values=missing, strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))


def encoded() -> Any:
    return OneHotEncoder(handle_unknown="ignore")


def numbers() -> Any:
    return make_pipeline(SimpleImputer(), StandardScaler())


def everything() -> Any:
    words = TfidfVectorizer(ngram_range=(1, 2))
    return of(("n", numbers(), [AGE]), ("c", filled(), [COLOUR]), ("e", encoded(), [FLAG, CITY]), ("w", words, NOTE))


@dataclass(frozen=True)
class Served:
    """A published estimator of the whole table and what is loaded of it."""

    publication: Publication
    estimator: Any
    predictor: Any

    def differs_most(self, rows: Any) -> float:
        told = [answer["probabilities"] for answer in self.predictor.answer(rows, ("probabilities",))]
        own = self.estimator.predict_proba(np.where(rows == None, np.where(np.arange(6) == AGE, np.nan, None), rows))  # noqa: E711
        return float(np.abs(np.array([[each[name] for name in ("leaves", "stays")] for each in told]) - own).max())


@pytest.fixture
def serve(publish_pair: Callable[..., Publication], workshop: Any) -> Callable[[Any], Served]:
    def run(columns: Any, last: Any = None) -> Served:
        estimator = make_pipeline(columns, LogisticRegression() if last is None else last).fit(TABLE, LEAVES)
        publication = publish_pair(estimator, TOML)
        return Served(publication, estimator, workshop.registry().load("pair", "v1", "1.0.0").predictor)

    return run


def with_column(place: int, cells: Any) -> Any:
    rows = TABLE[: len(cells)].copy()
    rows[:, place] = cells
    return rows


def test_texts_categories_booleans_and_numbers_are_answered_as_scikit_learn_does(serve: Callable[..., Served]) -> None:
    served = serve(everything())
    assert (served.publication.engine, served.publication.engine_reason) == ("onnx", None)
    assert served.differs_most(TABLE) < 2e-6
    for place in (CITY, NOTE):
        assert served.differs_most(with_column(place, ODD_TEXTS)) < 2e-6
    assert served.differs_most(with_column(COLOUR, ["unseen", None, "red", "RED", NULL, "nan", "None"])) < 2e-6
    assert served.differs_most(with_column(AGE, [None, 0.1, 1e-30, 119.999999])) < 2e-6
    for row in range(5):
        assert served.differs_most(TABLE[row : row + 1]) < 2e-6
    with pytest.raises(PredictionFailed):
        served.predictor.answer(with_column(AGE, [1e39]), ("label",))


def test_letters_and_words_are_those_of_python_in_all_of_unicode(serve: Callable[..., Served]) -> None:
    """Each character stands alone, at the end of a word and between two, so that it shows whether it is taken for a letter."""
    served = serve(of(("w", CountVectorizer(vocabulary=["late", "refund", "lateß"]), NOTE)))
    assert served.publication.engine == "onnx", served.publication.engine_reason
    characters = map(chr, [*range(1, 0x3000), *range(0x3000, sys.maxunicode, 53)])
    # this Python may know fewer characters than the graph's library
    known = [each for each in characters if unicodedata.category(each) not in ("Cn", "Cs")]
    assert len(known) > 14_000
    rows = np.repeat(TABLE[:1], len(known), axis=0)
    rows[:, NOTE] = [f"{each}LATE refund{each} late{each}refund" for each in known]
    assert served.differs_most(rows) < 2e-6


def test_without_lower_case_a_column_comes_as_it_is(serve: Callable[..., Served]) -> None:
    served = serve(of(("w", TfidfVectorizer(lowercase=False), NOTE), ("same", encoded(), [CITY])))
    assert served.publication.engine == "onnx", served.publication.engine_reason
    assert served.differs_most(with_column(NOTE, ["LATE late", "Late", "refund REFUND"])) < 2e-6
    assert served.differs_most(with_column(CITY, ["bern", "BERN", "Bern", "zürich", "ZÜRICH"])) < 2e-6


FALLBACKS = {
    "a column that is read in lower case and as it is": (
        lambda: of(("w", TfidfVectorizer(), CITY), ("same", encoded(), [CITY])),
        "what a graph does to letters depends on the machine",
    ),
    "integers beyond float32": (lambda: of(("b", encoded(), [BIG]), ("c", encoded(), [COLOUR])), "the ONNX graph answers differently"),
    "words that are left out of pairs": (
        lambda: of(("w", TfidfVectorizer(ngram_range=(2, 2), stop_words=["late", "über"]), NOTE)),
        "the ONNX graph answers differently",
    ),
    "booleans that are filled like texts": (
        lambda: of(("c", filled(), [COLOUR, FLAG])),
        "onnxruntime cannot load the graph (InvalidGraph)",
    ),
}


@pytest.mark.parametrize("name", FALLBACKS)
def test_what_a_graph_answers_otherwise_scikit_learn_serves_and_the_reason_is_kept(name: str, serve: Callable[..., Served]) -> None:
    make, reason = FALLBACKS[name]
    served = serve(make())
    assert served.publication.engine == "sklearn"
    assert reason in served.publication.engine_reason
    assert served.differs_most(TABLE) < 1e-6


def test_a_graph_of_other_columns_than_its_contracts_is_refused(workshop: Any, serve: Callable[..., Served]) -> None:
    served = serve(of(("c", encoded(), [COLOUR]), ("n", SimpleImputer(), [AGE])), RandomForestClassifier(5, random_state=0))
    verified = workshop.repository.read("pair", "1.0.0")
    assert served.publication.engine == "onnx"
    changed = TOML.replace('type = "number"', 'type = "text"', 1).replace(
        "nullable = true\nminimum = 0\nmaximum = 120\nexample = 40", 'example = "40"'
    )
    manifest = verified.manifest
    workshop.write(
        verified.artifact,
        changed.encode(),
        version="1.0.1",
        engine="onnx",
        engine_reason=None,
        classes=manifest.classes,
        golden_row=manifest.golden_row,
    )
    with pytest.raises(NotServable, match=r"pair 1\.0\.1: the graph does not take the columns of its contract: publish the model again"):
        workshop.registry().load("pair", "v1", "1.0.1")
    for features, texts in ((6, (AGE, COLOUR)), (6, (CITY,)), (3, (2,))):
        with pytest.raises(Exception, match="does not take the columns of its contract"):
            OnnxEngine(verified.artifact, features, manifest.classes, texts=texts)
    with pytest.raises(Exception, match="does not take one table of floats"):
        OnnxEngine(verified.artifact, 6, manifest.classes)


@dataclass(frozen=True)
class Given:
    name: str
    type: str
    shape: tuple[Any, ...] = (None, 1)


FLOAT, STRING = "tensor(float)", "tensor(string)"


def test_inputs_are_matched_by_what_they_hold_and_where_they_stand() -> None:
    found = [Given("number_0", FLOAT), Given("lower_2", STRING), Given("text_1", STRING)]
    assert inputs_of(found, 3, (1, 2)) == [GraphInput("number", 0), GraphInput("lower", 2), GraphInput("text", 1)]
    assert inputs_of(found[:1], 3, (1, 2)) == [GraphInput("number", 0)]
    assert [each.name for each in inputs_for(3, (1, 2), (2,))] == ["number_0", "text_1", "lower_2"]


@pytest.mark.parametrize(
    "found",
    [
        [],
        [Given("X", FLOAT)],
        [Given("number_0", STRING)],
        [Given("text_1", FLOAT)],
        [Given("number_1", FLOAT)],
        [Given("text_0", STRING)],
        [Given("number_3", FLOAT)],
        [Given("number_00", FLOAT)],
        [Given("number_0", FLOAT), Given("X", FLOAT)],
        [Given("text_1", STRING), Given("lower_1", STRING)],
        [Given("number_0", FLOAT, (None, 2))],
        [Given("number_0", FLOAT, (None,))],
    ],
    ids=str,
)
def test_inputs_that_do_not_fit_the_contract_are_refused(found: list[Given]) -> None:
    assert inputs_of(found, 3, (1, 2)) is None


def test_long_texts_leave_the_event_loop_sooner(workshop: Any, publish_pair: Callable[..., Publication]) -> None:
    estimator = make_pipeline(of(("w", TfidfVectorizer(), NOTE)), LogisticRegression()).fit(TABLE, LEAVES)
    rows = []
    for version, length in (("1.0.0", 20), ("1.0.1", 1_000_000)):
        toml = TOML.replace('example = "a late refund"', f'example = "a late refund"\nmax_length = {length}')
        assert publish_pair(estimator, toml, version).engine == "onnx"
        predictor = workshop.registry().load("pair", "v1", version).predictor
        rows.append(max(count for count in range(200) if predictor.fits_inline(count)))
    assert rows[0] > rows[1] == 0
