"""Publishing: only what fits its contract, and ONNX only where it is proven equal."""

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, SplineTransformer, StandardScaler
from sklearn.svm import LinearSVC

from gatehouse.serving import convert as conversion
from gatehouse.serving import engine_choice
from gatehouse.serving.convert import NotConvertible, convert
from gatehouse.serving.options import PublishOptions
from gatehouse.serving.publish import PublishRefused

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
RANDOM = np.random.default_rng(11)
ROWS = RANDOM.normal(size=(120, 2))
CLASSES = (ROWS[:, 0] > ROWS[:, 1]).astype(int)


@pytest.fixture
def unconverted(monkeypatch):
    """Publishing without the seconds of a conversion, for tests of everything else."""

    def refuse(_artifact, **_options):
        raise NotConvertible("not tried in this test")

    monkeypatch.setattr(engine_choice, "convert", refuse)


def _served_equals(workshop, estimator, toml_rows, version="1.0.0"):
    served = workshop.registry().load("pair", "v1", version)
    answers = served.predictor.answer(toml_rows, ("label", "probabilities"))
    names = {label.cls: label.name for label in served.contract.output.labels}
    assert [answer["label"] for answer in answers] == [names[cls] for cls in estimator.predict(toml_rows).tolist()]
    got = np.array([list(answer["probabilities"].values()) for answer in answers])
    assert np.abs(got - estimator.predict_proba(toml_rows)).max() < 1e-4
    return served


def test_a_forest_becomes_onnx_and_the_joblib_file_is_not_published(publish_pair, workshop):
    said = []
    forest = RandomForestClassifier(10, random_state=1).fit(ROWS, CLASSES)
    publication = publish_pair(forest, said=said)
    assert (publication.engine, publication.engine_reason) == ("onnx", None)
    assert not (publication.folder / "model.joblib").exists()
    served = _served_equals(workshop, forest, ROWS)
    assert served.manifest.parity.rows >= 2000
    assert {"scikit-learn", "skl2onnx", "onnx", "onnxruntime", "numpy", "joblib", "python"} <= set(served.manifest.libraries)
    assert said[-1].startswith("ONNX answers the same")


def test_attributes_reach_onnx_as_plain_integers():
    make = conversion._with_plain_integers(lambda key, value: (key, value))
    assert [type(item) for item in make("nodes", [np.uint32(1), 2])[1]] == [int, int]
    assert type(make("node", np.uint32(1))[1]) is int
    assert make("weights", [0.5, "x"]) == ("weights", [0.5, "x"])


def test_histogram_gradient_boosting_becomes_onnx(publish_pair, workshop):
    booster = HistGradientBoostingClassifier(max_iter=10, random_state=1).fit(ROWS, CLASSES)
    publication = publish_pair(booster)
    assert publication.engine == "onnx", publication.engine_reason
    _served_equals(workshop, booster, ROWS)


def test_a_silently_wrong_conversion_is_caught_and_scikit_learn_kept(publish_pair, workshop):
    base = make_pipeline(StandardScaler(), LogisticRegression())
    calibrated = CalibratedClassifierCV(base, method="isotonic", cv=3).fit(ROWS * 3 + 5, CLASSES)
    publication = publish_pair(calibrated, options=PublishOptions(accept_embedded_data=True))
    assert publication.engine == "sklearn"
    assert "the ONNX graph answers differently" in publication.engine_reason
    assert not publication.parity.passed
    _served_equals(workshop, calibrated, ROWS)


def test_what_does_not_convert_keeps_scikit_learn_and_says_why(publish_pair, workshop):
    splines = make_pipeline(SplineTransformer(3), LogisticRegression()).fit(ROWS, CLASSES)
    publication = publish_pair(splines)
    assert publication.engine == "sklearn"
    assert publication.engine_reason.startswith("skl2onnx cannot convert it (MissingShapeCalculator: Unable to find a shape calculator for")
    assert publication.parity is None
    assert not (publication.folder / "model.onnx").exists()
    _served_equals(workshop, splines, ROWS)


def test_a_reason_is_the_first_sentence_of_the_converters(dump):
    words = make_pipeline(TfidfVectorizer(strip_accents="unicode"), LogisticRegression()).fit(["ab c", "b d"], [0, 1])
    with pytest.raises(NotConvertible) as refused:
        convert(dump(words), "t")
    assert str(refused.value) == (
        "skl2onnx cannot convert it (NotImplementedError: CountVectorizer cannot be converted, only strip_accents=None is supported)"
    )


def test_of_two_lines_only_the_one_that_comes_near_zero_needs_more_than_float32(publish_pair, pair_toml):
    toml = pair_toml.partition("[output]")[0] + '[output]\ntask = "regression"\n'
    line = LinearRegression().fit(ROWS, ROWS.sum(axis=1))
    near_zero = publish_pair(line, toml)
    assert near_zero.engine == "sklearn"
    assert abs(near_zero.parity.worst_row.expected[0]) < 0.1
    line.intercept_ = 1000.0
    assert publish_pair(line, toml, version="1.0.1").engine == "onnx"


def test_without_the_converter_scikit_learn_is_kept_and_the_extra_is_named(publish_pair, monkeypatch):
    monkeypatch.setattr(conversion, "converter_installed", lambda: False)
    publication = publish_pair(LogisticRegression().fit(ROWS, CLASSES))
    assert publication.engine == "sklearn"
    assert "in the folder of this repository: uv sync --extra publish" in publication.engine_reason
    assert "publish" in tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]


def test_mixed_columns_are_served_by_onnx(publish_pair, workshop):
    toml = """
format = 1
model = "pair"
api_version = "v1"
[features.colour]
type = "category"
allowed = ["red", "green", "blue"]
example = "green"
[features.size]
type = "number"
minimum = 0
maximum = 9
example = 4
[output]
task = "regression"
"""
    rows = np.empty((60, 2), dtype=object)
    rows[:, 0] = RANDOM.choice(["red", "green", "blue"], 60)
    rows[:, 1] = RANDOM.uniform(0, 9, 60)
    columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), [0]), ("passthrough", [1]))
    pipeline = make_pipeline(columns, LinearRegression()).fit(rows, 5 + rows[:, 1].astype(float) + (rows[:, 0] == "red"))
    publication = publish_pair(pipeline, toml)
    assert (publication.engine, publication.parity.passed) == ("onnx", True)
    served = workshop.registry().load("pair", "v1", "1.0.0")
    assert served.manifest.golden_row.inputs == ("green", 4)
    answers = served.predictor.answer(rows, ("value",))
    assert np.allclose([answer["value"] for answer in answers], pipeline.predict(rows), atol=1e-4)


@pytest.mark.usefixtures("unconverted")
def test_null_goes_to_an_estimator_that_takes_it_and_is_refused_otherwise(publish_pair, workshop, pair_toml):
    nullable = pair_toml.replace("example = 0.5", "example = 0.5\nnullable = true")
    said = r"in 'width' \(ValueError: Input X contains NaN\): forbid null there, or put an imputer in front"
    with pytest.raises(PublishRefused, match=said):
        publish_pair(LogisticRegression().fit(ROWS, CLASSES), nullable)
    pipeline = make_pipeline(SimpleImputer(), LogisticRegression()).fit(ROWS, CLASSES)
    assert publish_pair(pipeline, nullable).engine == "sklearn"
    served = workshop.registry().load("pair", "v1", "1.0.0")
    assert served.predictor.answer(np.array([[np.nan, -1.0]]), ("label",)) == [{"label": "high"}]


def _swapped_names():
    estimator = LogisticRegression().fit(ROWS, CLASSES)
    estimator.feature_names_in_ = np.array(["Height", "Width"], dtype=object)
    return estimator


def _infinite():
    estimator = LogisticRegression().fit(ROWS, CLASSES)
    estimator.coef_ = estimator.coef_ * np.nan
    return estimator


REFUSALS = {
    "not fitted": (LogisticRegression(), "is not fitted: call fit"),
    "no estimator": ({"model": 1}, "no estimator with a predict method"),
    "other width": (LogisticRegression().fit(np.c_[ROWS, ROWS], CLASSES), "fitted on 4 features, the contract has 2"),
    "regression": (LinearRegression().fit(ROWS, CLASSES), 'set task = "regression"'),
    "no classes": (KMeans(2, n_init=1).fit(ROWS), 'set task = "regression"'),
    "other classes": (LogisticRegression().fit(ROWS, CLASSES + 1), "classes are 1, 2: give each of them"),
    "class without a name": (LogisticRegression().fit(ROWS, CLASSES + (ROWS[:, 0] > 1)), "classes are 0, 1, 2: give each"),
    "several outputs": (
        KNeighborsClassifier().fit(ROWS, np.c_[CLASSES, CLASSES]),
        'answers 2 values a row: give the contract task = "multioutput" and 2 targets',
    ),
    "no probabilities": (LinearSVC().fit(ROWS, CLASSES), "no predict_proba: return only"),
    "names in another order": (
        _swapped_names(),
        "'width' does not stand where the estimator has it: list the features in the order Height, Width",
    ),
    "not finite": (_infinite(), "no finite number .*: narrow the contract's bounds"),
    "no joblib file": (b"junk", "with joblib.dump"),
}


@pytest.mark.usefixtures("unconverted")
@pytest.mark.parametrize("case", REFUSALS)
def test_what_does_not_fit_its_contract_is_refused_in_one_line_with_the_remedy(publish_pair, workshop, case):
    estimator, message = REFUSALS[case]
    with pytest.raises(PublishRefused, match=message) as refused:
        publish_pair(estimator)
    assert "\n" not in str(refused.value)
    assert workshop.repository.versions("pair") == ()


@pytest.mark.usefixtures("unconverted")
def test_a_classifier_under_a_regression_contract_is_refused(publish_pair, pair_toml):
    with pytest.raises(PublishRefused, match='is a classifier: set task = "classification"'):
        publish_pair(LogisticRegression().fit(ROWS, CLASSES), pair_toml.partition("[output]")[0] + '[output]\ntask = "regression"\n')


@pytest.mark.usefixtures("unconverted")
def test_label_alone_needs_no_probabilities(publish_pair, workshop, pair_toml):
    estimator = LinearSVC().fit(ROWS, CLASSES)
    assert publish_pair(estimator, pair_toml + 'returns = ["label"]\n').engine_reason == "the estimator has no probabilities"
    served = workshop.registry().load("pair", "v1", "1.0.0")
    answers = served.predictor.answer(ROWS, ("label",))
    assert [answer["label"] == "high" for answer in answers] == (estimator.predict(ROWS) == 1).tolist()


@pytest.mark.usefixtures("unconverted")
def test_renamed_columns_are_taken_by_position_and_said(publish_pair):
    estimator, said = LogisticRegression().fit(ROWS, CLASSES), []
    estimator.feature_names_in_ = np.array(["Width", "tallness (cm)"], dtype=object)
    publish_pair(estimator, said=said)
    assert said[0] == "columns by position: 'height' feeds 'tallness (cm)'"


@pytest.mark.usefixtures("unconverted")
@pytest.mark.parametrize(
    "version, message",
    [
        ("2.0.0", r"version 2\.0\.0 does not belong to v1, whose next free version is 1\.0\.1"),
        ("1.0", "MAJOR.MINOR.PATCH"),
        ("1.0.0-rc1", "MAJOR.MINOR.PATCH"),
        ("1.0.0", r"pair 1\.0\.0 is published already and is never changed: publish 1\.0\.1"),
    ],
)
def test_a_version_that_is_taken_malformed_or_of_another_major_is_refused(publish_pair, version, message):
    estimator = LogisticRegression().fit(ROWS, CLASSES)
    publish_pair(estimator)
    with pytest.raises(PublishRefused, match=message):
        publish_pair(estimator, version=version)


@pytest.mark.usefixtures("unconverted")
def test_row_85_publish_into_a_linked_folder_is_refused(publish_pair, workshop, tmp_path):
    (tmp_path / "outside").mkdir()
    workshop.repository.root.mkdir()
    (workshop.repository.root / "pair").symlink_to(tmp_path / "outside")
    with pytest.raises(PublishRefused, match="is a link or no folder"):
        publish_pair(LogisticRegression().fit(ROWS, CLASSES))
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.usefixtures("unconverted")
def test_row_87_manifest_holds_no_training_row(publish_pair):
    forest = RandomForestClassifier(3, random_state=1).fit(ROWS, CLASSES)
    folder = publish_pair(forest).folder
    published = (folder / "manifest.json").read_text() + (folder / "contract.toml").read_text()
    assert not [number for number in ROWS.ravel().tolist() if repr(number) in published]
    assert "RandomForest" not in published


def test_a_conversion_that_does_not_end_is_stopped(pair):
    with pytest.raises(NotConvertible, match=r"did not end within 0\.05 s"):
        convert(pair, "nn", timeout_s=0.05)


def test_the_converter_gets_no_setting_of_the_deployment_and_no_password(dump, monkeypatch, tmp_path):
    monkeypatch.setenv("GATEHOUSE_SECRET_KEY", "canary")
    monkeypatch.setenv("PGPASSWORD", "canary")
    with pytest.raises(NotConvertible):
        convert(dump(Spy(tmp_path / "environment")), "nn")
    names = (tmp_path / "environment").read_text()
    assert "PATH" in names
    assert "GATEHOUSE_" not in names
    assert "PGPASSWORD" not in names


class Spy:
    """A pickle that writes down the names in the environment of whoever loads it."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (eval, (f"__import__('pathlib').Path({str(self.target)!r}).write_text(str(list(__import__('os').environ)))",))


def test_the_worst_row_is_recorded_without_what_came_from_the_samples_range(publish_pair, pair_toml):
    line = LogisticRegression().fit(ROWS, CLASSES)
    open_above = re.sub(r"maximum = .*\n", "", pair_toml, count=1)
    hidden, *shown = re.findall(r"\[features\.(\w+)\]", pair_toml)
    worst = publish_pair(line, open_above, options=PublishOptions(ranges={hidden: (0.0, 3.0)})).parity.worst_row
    assert [*worst.inputs] == shown
    assert worst.expected != worst.found
    again = publish_pair(line, open_above, "1.0.1").parity.worst_row
    assert [*again.inputs] == [hidden, *shown]
