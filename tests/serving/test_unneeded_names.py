"""A file that refers to what no estimator needs is refused before anything of it is run; `test_pickle_contents.py` finds the names."""

import io
import os
import pickle

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from gatehouse.serving.engine import EngineUnusable
from gatehouse.serving.facts import estimator_facts
from gatehouse.serving.pickle_values import Global
from gatehouse.serving.unneeded_names import unneeded

FITTED = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
NEEDED = [
    ("builtins", "getattr"),
    ("builtins", "str.lower"),
    ("builtins", "slice"),
    ("_codecs", "encode"),
    ("io", "BytesIO"),
    ("joblib.numpy_pickle", "NumpyArrayWrapper"),
    ("numpy.random._pickle", "__generator_ctor"),
    ("operator", "itemgetter"),
    ("pathlib", "PosixPath"),
    ("scipy.signal", "savgol_filter"),
]
UNNEEDED = [
    ("posix", "system"),
    ("nt", "system"),
    ("os", "popen"),
    ("subprocess", "Popen"),
    ("commands", "getoutput"),
    ("shutil", "rmtree"),
    ("socket", "create_connection"),
    ("runpy", "run_path"),
    ("importlib", "import_module"),
    ("importlib._bootstrap", "_gcd_import"),
    ("pty", "spawn"),
    ("joblib.disk", "os.system"),
    ("builtins", "eval"),
    ("builtins", "exec"),
    ("builtins", "compile"),
    ("builtins", "__import__"),
    ("builtins", "open"),
    ("__builtin__", "eval"),
    ("typing", "builtins.eval"),
    ("_pickle", "loads"),
    ("joblib.numpy_pickle", "load"),
]


class Calls:
    def __init__(self, function, *arguments):
        self.called = function, arguments

    def __reduce__(self):
        return self.called


def joblib_file(value):
    target = io.BytesIO()
    joblib.dump(value, target)
    return target.getvalue()


@pytest.mark.parametrize("dump", [joblib_file, pickle.dumps], ids=["joblib", "pickle"])
@pytest.mark.parametrize("with_estimator", [False, True], ids=["alone", "beside an estimator"])
def test_row_83_a_call_of_the_system_is_refused_and_not_run(tmp_path, dump, with_estimator):
    call = Calls(os.system, f"touch {tmp_path / 'run'}")
    artifact = dump([FITTED, call] if with_estimator else call)
    with pytest.raises(EngineUnusable) as refused:
        estimator_facts(artifact)
    assert str(refused.value) == (
        f"the file refers to {os.system.__module__}.system, which no estimator needs: it was not loaded, so nothing of it was run;"
        " publish only files that you saved yourself"
    )
    assert not (tmp_path / "run").exists()
    joblib.load(io.BytesIO(artifact))
    assert (tmp_path / "run").exists(), "the file does nothing, so this test proved nothing"


@pytest.mark.parametrize("name", UNNEEDED, ids=".".join)
def test_what_reaches_the_system_is_unneeded_wherever_it_stands(name):
    assert unneeded([*(Global(*each) for each in NEEDED), Global(*name)]) == Global(*name)


@pytest.mark.parametrize("name", NEEDED, ids=".".join)
def test_what_estimators_hold_is_needed(name):
    assert unneeded([Global(*name)]) is None


def test_a_pipeline_with_a_function_of_a_library_is_loaded():
    assert estimator_facts(joblib_file(make_pipeline(FunctionTransformer(np.abs), FITTED).fit(np.eye(2), [0, 1]))).outputs == 1
