"""A file of another scikit-learn: named with its remedy, loaded in a throw-away environment only, and served as ONNX or not at all."""

import gzip
import io
import json
import os
import pickle
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np
import pytest
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier

from gatehouse.serving import other_sklearn
from gatehouse.serving.embedded_data import embedded_data
from gatehouse.serving.engine import EngineUnusable
from gatehouse.serving.estimator_elsewhere import EstimatorElsewhere
from gatehouse.serving.facts import estimator_facts, facts_of
from gatehouse.serving.opening import Opened
from gatehouse.serving.options import PublishOptions
from gatehouse.serving.other_sklearn import check_release, requirements, runtime_with
from gatehouse.serving.plain_arrays import from_plain, to_plain
from gatehouse.serving.publish import PublishRefused
from gatehouse.serving.runtime import HERE, Runtime

RANDOM = np.random.default_rng(11)
ROWS = RANDOM.normal(size=(120, 2))
CLASSES = (ROWS[:, 0] > ROWS[:, 1]).astype(int)
NO_RELEASE = (
    "",
    "1",
    "1.5.2 ",
    " 1.5.2",
    "1.5.2\n",
    "v1.5.2",
    "1.5.2;rm",
    "--pre",
    "-r/etc/passwd",
    "1.5.*",
    ">=1.5",
    "1.5.2@file:///x",
    "1.6.dev0",
)


def _saved_by(version, estimator=None):
    """A joblib file that says that it was saved by another scikit-learn."""
    target = io.BytesIO()
    joblib.dump(estimator or LogisticRegression().fit(ROWS, CLASSES), target)
    here, there = sklearn.__version__.encode(), version.encode()
    for size in (len(here), len(there)):
        assert size < 256
    source = target.getvalue().replace(b"\x8c" + bytes([len(here)]) + here, b"\x8c" + bytes([len(there)]) + there)
    frame = source.index(b"\x95")
    # the frame is as much longer as its text
    length = int.from_bytes(source[frame + 1 : frame + 9], "little") + len(there) - len(here)
    return source[: frame + 1] + length.to_bytes(8, "little") + source[frame + 9 :]


def _refusal(publish_pair, artifact, **options):
    with pytest.raises(PublishRefused) as refused:
        publish_pair(artifact, options=PublishOptions(**options))
    said = str(refused.value)
    assert len(said.splitlines()) == 1
    return said


def test_a_file_of_another_version_is_said_with_its_remedy(publish_pair):
    said = _refusal(publish_pair, _saved_by("1.5.2"))
    assert said.startswith(f"saved by scikit-learn 1.5.2, but {sklearn.__version__} is installed: add --sklearn 1.5.2")
    with pytest.raises(EngineUnusable, match=r"--sklearn 1\.5\.2"):
        estimator_facts(_saved_by("1.5.2"))


def test_a_packed_file_of_another_version_is_said_too(publish_pair):
    assert "--sklearn 1.5.2" in _refusal(publish_pair, gzip.compress(_saved_by("1.5.2")))


@pytest.mark.parametrize("version", ["1.7.dev0", "1.6.0rc1", "1.5.2\nfoo"])
def test_a_file_of_no_release_must_be_saved_again(publish_pair, version):
    said = _refusal(publish_pair, _saved_by(version))
    assert "train and save the model again here" in said
    assert "--sklearn" not in said


@pytest.mark.parametrize("version", NO_RELEASE)
def test_only_a_plain_release_number_is_taken(publish_pair, version):
    assert "release number such as 1.5.2" in _refusal(publish_pair, _saved_by("1.5.2"), sklearn_version=version)


def test_releases_are_told_apart():
    assert [check_release(text) for text in ("1.5.2", "1.4.1.post1", "1.10")] == ["1.5.2", "1.4.1.post1", "1.10"]
    with pytest.raises(PublishRefused, match=r"1\.3 is the oldest"):
        check_release("1.2.2")


def test_the_option_must_name_the_version_that_saved_the_file(publish_pair, pair):
    assert "saved by scikit-learn 1.5.2, not 1.6.1: give --sklearn 1.5.2" in _refusal(
        publish_pair, _saved_by("1.5.2"), sklearn_version="1.6.1"
    )
    assert "leave --sklearn out" in _refusal(publish_pair, pair, sklearn_version="1.5.2")


def test_the_installed_version_may_be_named(pair):
    assert estimator_facts(pair, PublishOptions(sklearn_version=sklearn.__version__)).classes == ((0, 1),)


def test_libraries_are_those_of_the_time():
    assert {"scikit-learn==1.5.2", f"joblib=={joblib.__version__}", "numpy<2.3"} <= set(requirements("1.5.2"))
    assert "numpy<2" in requirements("1.4.1.post1")
    assert not [each for each in requirements("1.9.0") if each.startswith("numpy")]


@pytest.fixture
def no_index(monkeypatch, tmp_path):
    """pip finds nothing but what lies in an empty folder."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def _left_behind(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith("gatehouse-sklearn-")]


def test_a_version_that_cannot_be_installed_is_said_and_leaves_nothing(publish_pair, no_index, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    said = _refusal(publish_pair, _saved_by("1.5.2"), sklearn_version="1.5.2")
    assert said.startswith("cannot install scikit-learn 1.5.2 for Python")
    assert "No matching distribution found for scikit-learn==1.5.2" in said
    assert "check that" in said
    assert _left_behind(tmp_path) == []


def test_an_installation_that_does_not_end_is_cut(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    started = time.monotonic()
    with pytest.raises(PublishRefused, match=r"no end within 0\.2 s"):
        runtime_with("1.5.2", None, timeout_s=0.2)
    assert time.monotonic() - started < 20
    assert _left_behind(tmp_path) == []


def test_the_installer_gets_no_setting_of_the_deployment(no_index, tmp_path, monkeypatch):
    monkeypatch.setenv("GATEHOUSE_SECRET_KEY", "very-secret")
    seen = tmp_path / "seen"
    python = tmp_path / "python.sh"
    python.write_text(f"#!/bin/sh\nenv > {seen}\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(other_sklearn.sys, "executable", str(python))
    with pytest.raises(PublishRefused, match="cannot make a Python environment"):
        runtime_with("1.5.3", None)
    assert "very-secret" not in seen.read_text()


def _elsewhere(estimator):
    """In a process of its own, but of this environment: what is asked and answered is the same."""
    target = io.BytesIO()
    joblib.dump(estimator, target)
    return EstimatorElsewhere(target.getvalue(), HERE)


@pytest.fixture(scope="module")
def neighbours():
    return KNeighborsClassifier().fit(ROWS, np.where(CLASSES, "high", "low"))


@pytest.fixture(scope="module")
def neighbours_elsewhere(neighbours):
    return _elsewhere(neighbours)


def test_an_estimator_elsewhere_tells_the_facts_that_it_would_tell_here(neighbours, neighbours_elsewhere):
    assert facts_of(neighbours_elsewhere) == facts_of(neighbours)
    assert neighbours_elsewhere.n_features_in_ == 2
    assert neighbours_elsewhere.classes_.tolist() == ["high", "low"]
    assert neighbours_elsewhere.libraries["scikit-learn"] == sklearn.__version__


def test_an_estimator_elsewhere_answers_as_it_would_here(neighbours, neighbours_elsewhere):
    assert neighbours_elsewhere.predict(ROWS).tolist() == neighbours.predict(ROWS).tolist()


def test_training_rows_that_it_keeps_are_found_elsewhere_too(neighbours, neighbours_elsewhere):
    assert neighbours_elsewhere.embedded_data(None) == embedded_data(neighbours, None) != ()


def test_what_an_estimator_raises_elsewhere_is_raised_here(neighbours_elsewhere):
    with pytest.raises(ValueError, match=r"^$"):
        neighbours_elsewhere.predict(ROWS[:, :1])


def test_code_that_lacks_a_name_elsewhere_is_said():
    with pytest.raises(PublishRefused, match="does not define name, which the file refers to"):
        EstimatorElsewhere(b"\x80\x04c__main__\nname\n.", replace(HERE, code=b"other = 1"))


def test_several_outputs_answer_from_elsewhere_too():
    several = MultiOutputClassifier(LogisticRegression()).fit(ROWS, np.c_[CLASSES, 1 - CLASSES])
    elsewhere = _elsewhere(several)
    assert [each.tolist() for each in elsewhere.classes_] == [[0, 1], [0, 1]]
    for here, there in zip(several.predict_proba(ROWS), elsewhere.predict_proba(ROWS), strict=True):
        assert np.array_equal(here, there)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (pickle.dumps({"a": 1}), "no estimator with a predict method"),
        (b"\x80\x04cno_such_package\nname\n.", "'no_such_package', which is not in the throw-away environment"),
        (b"\x80\x04cos\nno_such_name\n.", "cannot load the file (AttributeError"),
        (b"cos\n_exit\n(I7\ntR.", "ended with status 7"),
    ],
)
def test_what_cannot_be_loaded_elsewhere_is_said(source, expected):
    with pytest.raises(PublishRefused) as refused:
        EstimatorElsewhere(source, HERE)
    assert expected in str(refused.value)


def test_an_estimator_that_does_not_answer_is_given_up():
    with pytest.raises(PublishRefused, match=r"did not answer within 0\.05 s"):
        EstimatorElsewhere(_saved_by("1.5.2"), HERE, timeout_s=0.05)


def test_it_is_served_as_onnx_or_not_at_all():
    opened = Opened(None, b"", Runtime(Path("/elsewhere/python")), allow_code=True, libraries={"scikit-learn": "1.5.2"})
    opened.check_engine("onnx", None)
    with pytest.raises(PublishRefused, match=r"does not convert, and a file of scikit-learn 1\.5\.2 is served as ONNX only: train"):
        opened.check_engine("sklearn", "it does not convert")


@pytest.mark.parametrize(
    "values",
    [
        np.array([0.1, np.nextafter(1, 2), -0.0, 5e-324, np.nan, np.inf]),
        np.array([[1, 2], [3, 4]]),
        np.array([["a", None], [True, 2.5]], dtype=object),
        np.array(["x", "größer"]),
        np.zeros((0, 3)),
        [np.eye(2), np.array([True])],
        ["a text", "another"],
    ],
    ids=repr,
)
def test_arrays_come_back_from_json_exactly(values):
    back = from_plain(json.loads(json.dumps(to_plain(values))))
    for one, other in zip(values, back, strict=True) if isinstance(values, list) else [(values, back)]:
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other), strict=True)


def test_arrays_without_a_plain_form_are_refused():
    for dtype in ("M8[D]", "V8", "c16"):
        with pytest.raises(TypeError, match="no plain form"):
            to_plain(np.zeros(1, dtype=dtype))
        with pytest.raises(TypeError, match="no plain form"):
            from_plain({"dtype": dtype, "shape": [1], "cells": [0]})


OLD = "1.5.2"
TRAIN = """
import sys, joblib, numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import SelectKBest
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer, StandardScaler
from sklearn.linear_model import LogisticRegression

def importance(rows, classes):
    return np.abs(rows).sum(axis=0)

rows = np.random.default_rng(11).normal(size=(120, 2))
classes = (rows[:, 0] > rows[:, 1]).astype(int)
models = {
    "forest": make_pipeline(StandardScaler(), RandomForestClassifier(21, random_state=1)),
    "notebook": make_pipeline(SelectKBest(importance, k=2), LogisticRegression()),
    "spline": make_pipeline(SplineTransformer(), LogisticRegression()),
    "neighbours": KNeighborsClassifier(),
}
for name, model in models.items():
    joblib.dump(model.fit(rows, classes), f"{sys.argv[1]}/{name}.joblib")
    np.save(f"{sys.argv[1]}/{name}.npy", model.predict_proba(rows))
"""
CODE = b"import numpy as np\n\n\ndef importance(rows, classes):\n    return np.abs(rows).sum(axis=0)\n"


@pytest.fixture(scope="module")
def old_files(tmp_path_factory):
    """Files that a real scikit-learn 1.5.2 saved, and its answers. Needs a package index."""
    folder = tmp_path_factory.mktemp("old")
    runtime = runtime_with(OLD, None)
    (folder / "train.py").write_text(TRAIN)
    subprocess.run([runtime.python, str(folder / "train.py"), str(folder)], check=True)
    return folder


@pytest.mark.soak
def test_a_file_of_scikit_learn_1_5_2_is_published_and_served_as_onnx(publish_pair, workshop, old_files):
    artifact = (old_files / "forest.joblib").read_bytes()
    assert "--sklearn 1.5.2" in _refusal(publish_pair, artifact)
    said = []
    publication = publish_pair(artifact, said=said, options=PublishOptions(sklearn_version=OLD))
    assert publication.engine == "onnx"
    assert any("throw-away environment" in line for line in said)
    served = workshop.registry().load("pair", "v1", "1.0.0")
    assert served.manifest.libraries["scikit-learn"] == OLD
    assert served.manifest.parity.passed
    answers = served.predictor.answer(ROWS, ("label", "probabilities"))
    got = np.array([list(answer["probabilities"].values()) for answer in answers])
    assert np.abs(got - np.load(old_files / "forest.npy")).max() < 1e-4
    assert sorted(path.name for path in publication.folder.iterdir()) == ["contract.toml", "manifest.json", "manifest.sig", "model.onnx"]


@pytest.mark.soak
def test_a_notebook_of_scikit_learn_1_5_2_needs_both_options(publish_pair, workshop, old_files):
    artifact = (old_files / "notebook.joblib").read_bytes()
    assert "--code features.py" in _refusal(publish_pair, artifact, sklearn_version=OLD)
    assert publish_pair(artifact, options=PublishOptions(sklearn_version=OLD, code=CODE)).engine == "onnx"
    assert workshop.registry().load("pair", "v1", "1.0.0").manifest.code_digest is not None


@pytest.mark.soak
def test_what_scikit_learn_1_5_2_cannot_hand_over_as_onnx_is_refused(publish_pair, workshop, old_files):
    said = _refusal(publish_pair, (old_files / "spline.joblib").read_bytes(), sklearn_version=OLD)
    assert "served as ONNX only: train and save the model again here" in said
    said = _refusal(publish_pair, (old_files / "neighbours.joblib").read_bytes(), sklearn_version=OLD)
    assert "--accept-embedded-data" in said
    assert workshop.repository.versions("pair") == ()


@pytest.mark.soak
def test_the_throw_away_environment_is_made_once_and_removed_at_the_end(old_files):
    program = (
        "import sys, time\nfrom gatehouse.serving.other_sklearn import runtime_with\n"
        "first = runtime_with('1.5.2', None)\nassert runtime_with('1.5.2', b'x').python == first.python\nprint(first.python)"
    )
    ended = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert not Path(ended.stdout.strip()).exists()
