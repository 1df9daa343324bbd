"""Estimators that were fitted on pandas data frames, as notebooks do, are served from plain arrays and without pandas."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.compose import ColumnTransformer, make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from gatehouse.serving.engines.sklearn import SklearnEngine
from gatehouse.serving.estimator_elsewhere import EstimatorElsewhere
from gatehouse.serving.opening import open_estimator
from gatehouse.serving.options import PublishOptions
from gatehouse.serving.publish import Publication, PublishRefused
from gatehouse.serving.runtime import HERE

_DICE = np.random.default_rng(5)
COUNT = 160
FRAME = pd.DataFrame(
    {
        "age": np.where(_DICE.random(COUNT) < 0.1, np.nan, _DICE.integers(18, 80, COUNT)),
        "fee": _DICE.normal(50, 9, COUNT).round(2),
        "plan": _DICE.choice(["basic", "full", None], COUNT),
        "city": _DICE.choice(["Bern", "Zürich"], COUNT),
        "auto": _DICE.random(COUNT) < 0.5,
    }
)
CATEGORIES = FRAME.assign(plan=FRAME.plan.astype("category"), city=FRAME.city.astype("category"))
NULLABLE = FRAME.assign(
    age=FRAME.age.astype("Int64"), auto=FRAME.auto.astype("boolean"), plan=FRAME.plan.astype("string"), city=FRAME.city.astype("string")
)
OBJECTS = FRAME.assign(plan=pd.Series([None if pd.isna(cell) else cell for cell in FRAME.plan], dtype=object))
LEAVES = np.where((FRAME.fee > 50) ^ (FRAME.plan == "full"), "leaves", "stays")
TEXTS = (2, 3)
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
[features.fee]
type = "number"
minimum = 0
maximum = 500
example = 50
[features.plan]
type = "category"
allowed = ["basic", "full"]
nullable = true
example = "full"
[features.city]
type = "text"
example = "Bern"
[features.auto]
type = "boolean"
example = true
[output]
task = "classification"
labels = [{class = "leaves", name = "leaves"}, {class = "stays", name = "stays"}]
"""


def numbers() -> Any:
    return make_pipeline(SimpleImputer(), StandardScaler())


def texts() -> Any:
    return make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore", sparse_output=False))


def filled(missing: Any) -> Any:
    return make_pipeline(SimpleImputer(missing_values=missing, strategy="most_frequent"), OneHotEncoder())


def by_name(**options: Any) -> Any:
    return ColumnTransformer([("n", numbers(), ["age", "fee"]), ("t", texts(), ["plan", "city"])], **options)


def forest(columns: Any) -> Any:
    return make_pipeline(columns, RandomForestClassifier(12, random_state=0))


def nested() -> Any:
    inner = ColumnTransformer([("t", texts(), ["plan", "city"]), ("fee", numbers(), ["fee"])], remainder="passthrough")
    return ColumnTransformer([("inner", inner, ["city", "fee", "plan", "auto"])], remainder=numbers())


def frames_between() -> Any:
    first = ColumnTransformer(
        [("n", SimpleImputer(), ["fee", "age"]), ("t", SimpleImputer(strategy="most_frequent"), ["plan", "city"])],
        verbose_feature_names_out=False,
    )
    return Pipeline(
        [
            ("first", first.set_output(transform="pandas")),
            ("second", make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["city", "plan"]), remainder="passthrough")),
        ]
    )


def logarithms() -> Any:
    return make_column_transformer(
        (FunctionTransformer(np.log1p), ["fee"]),
        (SimpleImputer(strategy="most_frequent"), ["age"]),
        (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2), ["plan", "city"]),
    )


def selected() -> Any:
    return make_column_transformer(
        (numbers(), make_column_selector(dtype_include="number")), (texts(), make_column_selector(dtype_exclude="number"))
    )


def searched() -> Any:
    columns = FRAME.select_dtypes("number").columns
    return GridSearchCV(forest(ColumnTransformer([("n", numbers(), columns)])), {"columntransformer__remainder": ["drop"]}, cv=2)


FITS: dict[str, tuple[Callable[[], Any], pd.DataFrame]] = {
    "lists of names": (lambda: forest(by_name()), FRAME),
    "remainder passed through": (lambda: forest(by_name(remainder="passthrough")), FRAME),
    "a pandas index": (lambda: forest(ColumnTransformer([("n", numbers(), FRAME.select_dtypes("number").columns)])), FRAME),
    "a pandas mask": (lambda: forest(ColumnTransformer([("n", numbers(), FRAME.dtypes == "float64"), ("t", texts(), ["plan"])])), FRAME),
    "a slice of names": (lambda: forest(ColumnTransformer([("n", numbers(), slice("age", "fee")), ("t", texts(), ["city"])])), FRAME),
    "selectors of types": (lambda: forest(selected()), FRAME),
    "selectors of pandas categories": (
        lambda: forest(make_column_transformer((texts(), make_column_selector(dtype_include="category")), remainder=numbers())),
        CATEGORIES,
    ),
    "pandas' nullable types": (lambda: forest(by_name(remainder="passthrough")), NULLABLE.assign(plan=FRAME.plan)),
    "missing texts that are None, beside NaN as a category": (
        lambda: forest(ColumnTransformer([("t", filled(None), ["plan"]), ("age", OneHotEncoder(), ["age"])])),
        OBJECTS,
    ),
    "missing texts that are pandas' own": (lambda: forest(ColumnTransformer([("t", filled(pd.NA), ["plan"])])), NULLABLE),
    "one in another": (lambda: forest(nested()), FRAME),
    "data frames between the steps": (lambda: forest(frames_between()), FRAME),
    "functions of numbers": (lambda: forest(logarithms()), FRAME),
    "categories by their type": (lambda: HistGradientBoostingClassifier(categorical_features="from_dtype", max_iter=5), CATEGORIES),
    "numbers without columns' names": (lambda: RandomForestClassifier(12, random_state=0), FRAME[["fee", "auto"]]),
    "a search over a pandas index": (searched, FRAME),
}

WITHOUT_PANDAS = """
import json, sys

class Refused:
    def find_spec(self, name, *_):
        if name.partition(".")[0] == "pandas":
            raise ImportError("no pandas here")

sys.meta_path.insert(0, Refused())
import joblib, sklearn
from gatehouse.serving.engines.sklearn import SklearnEngine

asked = joblib.load(sys.argv[1])
told = {}
for name, (artifact, rows, texts) in asked.items():
    engine = SklearnEngine.from_verified(artifact, sklearn.__version__, ("leaves", "stays"), texts=texts)
    told[name] = [engine.score(rows).tolist(), engine.score(rows[:1]).tolist()]
assert "pandas" not in sys.modules
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def fitted() -> dict[str, Any]:
    with threadpool_limits(1):
        return {name: make().fit(frame, LEAVES) for name, (make, frame) in FITS.items()}


def dumped(estimator: Any) -> bytes:
    target = io.BytesIO()
    joblib.dump(estimator, target)
    return target.getvalue()


def rows_of(frame: pd.DataFrame) -> Any:
    """As a partner's body is decoded: doubles where all are numbers, else objects in which null is None."""
    if not set(frame.columns) & {"plan", "city"}:
        return frame.to_numpy(dtype=np.float64)
    return np.array([[None if pd.isna(cell) else cell for cell in row] for row in frame.itertuples(index=False)], dtype=object)


@pytest.fixture(scope="module")
def served(fitted: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Scores of all rows, and of the first one alone, from a process in which pandas cannot be imported."""
    asked = {}
    for name, (_, frame) in FITS.items():
        opened = open_estimator(dumped(fitted[name]), PublishOptions(), pytest.fail)
        rows = rows_of(frame)
        asked[name] = (opened.artifact, rows, TEXTS if rows.dtype == object else ())
    file = tmp_path_factory.mktemp("served") / "asked.joblib"
    joblib.dump(asked, file)
    command = [sys.executable, "-W", "error::UserWarning", "-c", WITHOUT_PANDAS, str(file)]
    ended = subprocess.run(command, capture_output=True, check=False, timeout=120)
    assert ended.returncode == 0, ended.stderr.decode()[-2000:]
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


@pytest.mark.parametrize("name", FITS)
def test_without_pandas_it_answers_plain_rows_as_it_does_the_data_frame(name: str, fitted: dict[str, Any], served: dict[str, Any]) -> None:
    expected = fitted[name].predict_proba(FITS[name][1])
    every, first = served[name]
    assert np.abs(np.array(every) - expected).max() < 1e-12
    assert np.abs(np.array(first) - expected[:1]).max() < 1e-12


def test_a_file_without_pandas_in_it_is_kept_as_it_is(fitted: dict[str, Any]) -> None:
    artifact = dumped(fitted["lists of names"])
    assert open_estimator(artifact, PublishOptions(), pytest.fail).artifact == artifact


def test_what_keeps_a_data_frame_is_kept_and_the_publisher_is_told(fitted: dict[str, Any]) -> None:
    class_like = make_pipeline(FunctionTransformer(kw_args={}), fitted["lists of names"])
    class_like.frame_ = FRAME
    artifact, said = dumped(class_like), list[str]()
    assert open_estimator(artifact, PublishOptions(), said.append).artifact == artifact
    assert said == ["the estimator holds a data frame or a part of one: the server needs pandas, unless ONNX serves it"]


def test_a_data_frame_of_another_scikit_learn_is_refused_with_the_remedy(fitted: dict[str, Any]) -> None:
    other = dumped(fitted["a pandas index"]).replace(sklearn.__version__.encode(), b"1.5.2")
    with pytest.raises(PublishRefused, match=r"give columns as a list when you fit it, such as list\(frame.columns\)"):
        open_estimator(other, PublishOptions(sklearn_version="1.5.2"), pytest.fail)


def test_published_from_its_file_it_serves_partners_rows(
    fitted: dict[str, Any], publish_pair: Callable[..., Publication], workshop: Any
) -> None:
    published = publish_pair(fitted["selectors of types"], TOML)
    assert published.engine == "sklearn"
    predictor = workshop.registry().load("pair", "v1", "1.0.0").predictor
    answers = predictor.answer(rows_of(FRAME), ("label", "confidence"))
    assert [answer["label"] for answer in answers] == fitted["selectors of types"].predict(FRAME).tolist()


def by_its_names(frame: Any) -> Any:
    return frame[["fee"]]


def test_a_function_that_wants_a_data_frame_is_refused_with_the_reason(publish_pair: Callable[..., Publication]) -> None:
    estimator = forest(FunctionTransformer(by_its_names)).fit(FRAME, LEAVES)
    with pytest.raises(PublishRefused, match="its own functions and classes get arrays in the contract's order, not data frames"):
        publish_pair(estimator, TOML)


@pytest.mark.parametrize("name", ["selectors of types", "missing texts that are None, beside NaN as a category"])
def test_asked_in_another_process_it_answers_as_it_does_the_data_frame(name: str, fitted: dict[str, Any]) -> None:
    frame = FITS[name][1]
    engine = SklearnEngine(EstimatorElsewhere(dumped(fitted[name]), HERE), classifies=True, texts=TEXTS)
    assert np.abs(engine.score(rows_of(frame)) - fitted[name].predict_proba(frame)).max() < 1e-12
