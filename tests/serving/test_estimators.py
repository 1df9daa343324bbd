"""Every family of estimators is published as its publisher would do it, is served, and answers as scikit-learn does.

docs/estimators.md says which road each took; it is held equal here.
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from math import nan
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from documents import ROOT
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, make_column_selector, make_column_transformer
from sklearn.datasets import make_classification
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits

from gatehouse.cli.drafting import Told, draft_contract
from gatehouse.cli.sample import Sample, number_ranges
from gatehouse.contracts.contract import Contract, parse_contract
from gatehouse.serving.facts import facts_of
from gatehouse.serving.options import PublishOptions
from gatehouse.serving.predictor import Predictor
from gatehouse.serving.publish import Publication, publish
from gatehouse.serving.registry import Registry
from gatehouse.serving.repository import Repository
from gatehouse.serving.signing import TrustedKeys, create_publishing_key
from gatehouse.serving.space import to_values

pytestmark = [
    pytest.mark.filterwarnings("ignore:The `probability` parameter was deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Stochastic Optimizer:sklearn.exceptions.ConvergenceWarning"),
]
PAGE = ROOT / "docs" / "estimators.md"
COUNT = 240
NAMES = ("alpha", "beta", "gamma")

ROWS, _CLASSES = make_classification(COUNT + 160, 4, n_informative=4, n_redundant=0, n_classes=3, random_state=2)
CLASSES = np.array(NAMES)[_CLASSES]
VALUES = ROWS @ [3.0, -2.0, 0.5, 1.0] + ROWS[:, 0] ** 2 + 20.0
TWO_VALUES = np.c_[VALUES, 40.0 - ROWS[:, 1] * 3]
TWO_CLASSES = np.c_[CLASSES, np.where(ROWS[:, 0] > 0, "high", "low")]
_DICE = np.random.default_rng(4)
MIXED = np.array(
    [
        [
            None if _DICE.random() < 0.1 else float(np.round(row[0] * 10, 2)),
            float(np.round(row[1] * 100)),
            _DICE.choice(["red", "green", "blue"]),
            _DICE.choice(["new", "old"]),
        ]
        for row in ROWS
    ],
    dtype=object,
)
WORDS = ("late", "broken", "great", "fast", "cold", "refund", "thanks", "again", "never", "always")
TEXTS = np.array([[" ".join(_DICE.choice(WORDS, 6))] for _ in ROWS], dtype=object)
FRAME = pd.DataFrame(
    {
        "age": [nan if age is None else age for age in MIXED[:, 0]],
        "visits": MIXED[:, 1].astype(int),
        "colour": [None if _DICE.random() < 0.1 else colour for colour in MIXED[:, 2]],
        "stage": MIXED[:, 3],
        "paid": ROWS[:, 2] > 0,
        "note": TEXTS[:, 0],
    }
)
CATEGORIES = FRAME.drop(columns="note").assign(colour=FRAME.colour.astype("category"), stage=FRAME.stage.astype("category"))
NUMBERS = pd.DataFrame(ROWS, columns=["one", "two", "three", "four"])
COMPLAINTS = np.array(["complaint" if "refund" in text or "broken" in text else "praise" for (text,) in TEXTS])


@dataclass(frozen=True)
class Case:
    """An estimator as docs/estimators.md names it, and what it is fitted on."""

    name: str
    make: Callable[[], Any]
    rows: Any
    wanted: Any

    def fitted(self) -> Any:
        rows = self.rows[:, 0] if self.rows is TEXTS else self.rows
        with threadpool_limits(1):  # fits this small lose more to their threads than they win
            return self.make().fit(rows[:COUNT], self.wanted[:COUNT])


def scaled(model: Any) -> Any:
    return make_pipeline(StandardScaler(), model)


def columns(model: Any) -> Any:
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    return make_pipeline(
        ColumnTransformer([("numbers", numbers, [0, 1]), ("texts", OneHotEncoder(handle_unknown="ignore"), [2, 3])]), model
    )


def by_names(model: Any) -> Any:
    filled = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    return make_pipeline(
        ColumnTransformer([("numbers", numbers, ["age", "visits"]), ("texts", filled, ["colour", "stage"])], remainder="drop"), model
    )


def by_types(model: Any) -> Any:
    numbers, others = make_column_selector(dtype_include="number"), make_column_selector(dtype_exclude="number")
    return make_pipeline(make_column_transformer((SimpleImputer(), numbers), (OneHotEncoder(handle_unknown="ignore"), others)), model)


def with_words(model: Any) -> Any:
    columns = [("words", TfidfVectorizer(), "note"), ("texts", OneHotEncoder(handle_unknown="ignore"), ["colour", "paid"])]
    return make_pipeline(ColumnTransformer(columns, remainder=SimpleImputer()), model)


def voters() -> list[tuple[str, Any]]:
    return [("line", LogisticRegression()), ("tree", DecisionTreeClassifier(max_depth=4, random_state=1))]


def classifiers() -> Iterator[tuple[str, Callable[[], Any]]]:
    yield "LogisticRegression", lambda: LogisticRegression(max_iter=500)
    yield "RandomForestClassifier", lambda: RandomForestClassifier(21, random_state=1)
    yield "ExtraTreesClassifier", lambda: ExtraTreesClassifier(21, random_state=1)
    yield "GradientBoostingClassifier", lambda: GradientBoostingClassifier(n_estimators=15, random_state=1)
    yield "HistGradientBoostingClassifier", lambda: HistGradientBoostingClassifier(max_iter=10, random_state=1)
    yield "SVC(probability=True)", lambda: scaled(SVC(probability=True, random_state=1))
    yield "SVC", lambda: scaled(SVC())
    yield "LinearSVC", lambda: LinearSVC()
    yield "KNeighborsClassifier", lambda: KNeighborsClassifier()
    yield "MLPClassifier", lambda: scaled(MLPClassifier(hidden_layer_sizes=(8,), max_iter=80, random_state=1))
    yield "GaussianNB", lambda: GaussianNB()
    yield "CalibratedClassifierCV", lambda: CalibratedClassifierCV(RandomForestClassifier(11, random_state=1), cv=3)
    yield "VotingClassifier(voting='soft')", lambda: VotingClassifier(voters(), voting="soft")
    yield "VotingClassifier(voting='hard')", lambda: VotingClassifier(voters())
    yield "Pipeline(StandardScaler, LogisticRegression)", lambda: scaled(LogisticRegression())


def regressors() -> Iterator[tuple[str, Callable[[], Any]]]:
    yield "LinearRegression", lambda: LinearRegression()
    yield "Ridge", lambda: Ridge()
    yield "RandomForestRegressor", lambda: RandomForestRegressor(15, random_state=1)
    yield "GradientBoostingRegressor", lambda: GradientBoostingRegressor(n_estimators=15, random_state=1)
    yield "HistGradientBoostingRegressor", lambda: HistGradientBoostingRegressor(max_iter=10, random_state=1)
    yield "SVR", lambda: scaled(SVR())
    yield "KNeighborsRegressor", lambda: KNeighborsRegressor()
    yield "MLPRegressor", lambda: scaled(MLPRegressor(hidden_layer_sizes=(8,), max_iter=80, random_state=1))


CASES = [
    *(Case(name, make, ROWS, CLASSES) for name, make in classifiers()),
    *(Case(name, make, ROWS, VALUES) for name, make in regressors()),
    Case(
        "MultiOutputRegressor(GradientBoostingRegressor)",
        lambda: MultiOutputRegressor(GradientBoostingRegressor(n_estimators=9)),
        ROWS,
        TWO_VALUES,
    ),
    Case("RandomForestRegressor, two targets", lambda: RandomForestRegressor(9, random_state=1), ROWS, TWO_VALUES),
    Case("MultiOutputClassifier(LogisticRegression)", lambda: MultiOutputClassifier(LogisticRegression()), ROWS, TWO_CLASSES),
    Case("ColumnTransformer with imputation and one-hot, LogisticRegression", lambda: columns(LogisticRegression()), MIXED, CLASSES),
    Case(
        "ColumnTransformer with imputation and one-hot, RandomForestClassifier",
        lambda: columns(RandomForestClassifier(15, random_state=1)),
        MIXED,
        CLASSES,
    ),
    Case(
        "TfidfVectorizer, LogisticRegression",
        lambda: make_pipeline(TfidfVectorizer(), LogisticRegression()),
        TEXTS,
        COMPLAINTS,
    ),
    Case("data frame, LogisticRegression", lambda: LogisticRegression(max_iter=500), NUMBERS, CLASSES),
    Case("data frame, columns by name, LogisticRegression", lambda: by_names(LogisticRegression()), FRAME, CLASSES),
    Case(
        "data frame, columns by type, RandomForestClassifier",
        lambda: by_types(RandomForestClassifier(15, random_state=1)),
        CATEGORIES,
        CLASSES,
    ),
    Case(
        "data frame, TfidfVectorizer beside other columns, LogisticRegression",
        lambda: with_words(LogisticRegression(max_iter=9_000)),
        FRAME.drop(columns="stage"),
        COMPLAINTS,
    ),
    Case(
        "data frame, HistGradientBoostingClassifier(categorical_features='from_dtype')",
        lambda: HistGradientBoostingClassifier(categorical_features="from_dtype", max_iter=10, random_state=1),
        CATEGORIES,
        CLASSES,
    ),
]


class Shop:
    """A repository and what is loaded of it."""

    def __init__(self, folder: Path) -> None:
        self.signer = create_publishing_key(folder / "key.pem", folder / "trusted")
        self.repository = Repository(folder / "models", TrustedKeys.load(folder / "trusted"))
        self.registry: Registry[Contract] = Registry(self.repository, lambda source: (parse_contract(source, "contract"),) * 2)

    def publish(self, model: str, estimator: Any, rows: list[list[Any]]) -> tuple[Publication, Predictor, Contract]:
        target = io.BytesIO()
        joblib.dump(estimator, target)
        written = tuple(tuple("" if cell is None else str(cell) for cell in row) for row in rows)
        names = facts_of(estimator).names or tuple(f"column_{place}" for place in range(len(rows[0])))
        sample = Sample("rows.csv", names, written, tuple(range(2, len(written) + 2)))
        targets = ("first", "second") if facts_of(estimator).outputs > 1 else ()
        source = draft_contract(facts_of(estimator), model, "v1", sample, Told(targets=targets)).encode()
        contract = parse_contract(source, "draft")
        publication = publish(
            target.getvalue(),
            contract,
            source,
            version="1.0.0",
            repository=self.repository,
            signer=self.signer,
            progress=lambda _step: None,
            now=datetime(2026, 11, 21, tzinfo=UTC),
            options=PublishOptions(ranges=number_ranges(sample, contract), accept_embedded_data=True),
        )
        return publication, self.registry.load(model, "v1", "1.0.0").predictor, contract


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def page() -> dict[str, str]:
    """Estimator to its road, as the page says."""
    lines = [line.split("|") for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    return {cells[1].strip().strip("`"): cells[2].strip() for cells in lines}


def test_the_page_names_the_estimators_that_are_tried_here_and_no_other(page: dict[str, str]) -> None:
    assert [*page] == [case.name for case in CASES]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_is_published_served_and_answers_as_scikit_learn_does(shop: Shop, page: dict[str, str], case: Case) -> None:
    estimator = case.fitted()
    rows = cells(case.rows)
    publication, predictor, contract = shop.publish(f"model_{CASES.index(case)}", estimator, rows[:COUNT])
    answers = predictor.answer(to_values(contract.features, rows[COUNT:]), tuple(contract.output.returns))
    compare(estimator, probes(case.rows[COUNT:]), answers, contract)
    assert page[case.name] == {"onnx": "ONNX", "sklearn": "scikit-learn"}[publication.engine], publication.engine_reason


def cells(rows: Any) -> list[list[Any]]:
    """As a partner sends them."""
    if isinstance(rows, pd.DataFrame):
        rows = rows.astype(object).where(rows.notna(), None).to_numpy()
    found: list[list[Any]] = rows.tolist()
    return found


def probes(rows: Any) -> Any:
    """As scikit-learn is given them."""
    if isinstance(rows, pd.DataFrame):
        return rows
    if rows.shape[1] == 1:
        return rows[:, 0]
    return np.where(rows == None, nan, rows) if rows.dtype == object else rows  # noqa: E711


def compare(estimator: Any, rows: Any, answers: list[dict[str, Any]], contract: Contract) -> None:
    """Labels equal, numbers within the parity bounds and one unit of the last decimal."""
    if not contract.output.targets:
        own = estimator.predict_proba(rows) if "probabilities" in contract.output.returns else None
        compare_target(estimator.predict(rows), own, getattr(estimator, "classes_", None), answers, contract.output.decimals)
        return
    labels = estimator.predict(rows)
    classifies = hasattr(estimator, "classes_")
    for place, target in enumerate(contract.output.targets):
        own = estimator.predict_proba(rows)[place] if classifies else None
        told = [answer[target.name] for answer in answers]
        compare_target(labels[:, place], own, estimator.classes_[place] if classifies else None, told, target.output.decimals)


def compare_target(predicted: Any, probabilities: Any, classes: Any, answers: list[dict[str, Any]], decimals: int) -> None:
    unit = 1.5 * 10.0**-decimals
    if classes is None:
        values = np.array([answer["value"] for answer in answers])
        assert np.all(np.abs(values - predicted) <= unit + 1e-5 * np.abs(predicted))
        return
    assert [answer["label"] for answer in answers] == predicted.tolist()
    if probabilities is not None:
        told = np.array([[answer["probabilities"][name] for name in classes.tolist()] for answer in answers])
        assert np.abs(told - probabilities).max() <= unit + 1e-5
