"""Names of a notebook that a pickle refers to: said clearly, given by attached code, and run in the server only where that is allowed."""

import hashlib
import io
import json
import pickle
import sys
import types

import joblib
import msgspec
import numpy as np
import pytest
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from gatehouse.serving.attached_code import CodeUnusable, load_with_code, run_code
from gatehouse.serving.engine import EngineUnusable
from gatehouse.serving.facts import estimator_facts
from gatehouse.serving.manifest import CODE_FILE, FileDigest, ManifestInvalid, decode_manifest, encode_manifest
from gatehouse.serving.options import PublishOptions
from gatehouse.serving.publish import PublishRefused
from gatehouse.serving.registry import NotServable
from gatehouse.serving.repository import VersionInvalid

RANDOM = np.random.default_rng(11)
ROWS = RANDOM.normal(size=(120, 2))
CLASSES = (ROWS[:, 0] > ROWS[:, 1]).astype(int)
CODE = b"""
from dataclasses import dataclass

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin


def importance(rows, classes):
    return np.abs(rows).sum(axis=0)


def doubled(rows):
    return rows * 2


class Widen(TransformerMixin, BaseEstimator):
    class Scale:
        factor = 3.0

    def __init__(self, by=None):
        self.by = by

    def fit(self, rows, classes=None):
        self.scale_ = self.Scale()
        self.helpers_ = np.array([self.Scale(), None], dtype=object)
        return self

    def transform(self, rows):
        return np.asarray(rows) * self.helpers_[0].factor


@dataclass
class Note:
    text: "str"
"""


def _dump(make, module="__main__"):
    """A joblib file as a notebook writes it: what `make` builds with the code's names lives in `module`."""
    notebook = types.ModuleType(module)
    before = sys.modules.get(module)
    sys.modules[module] = notebook
    try:
        exec(CODE, notebook.__dict__)
        target = io.BytesIO()
        joblib.dump(make(notebook), target)
    finally:
        if before is None:
            del sys.modules[module]
        else:
            sys.modules[module] = before
    return target.getvalue()


def _selecting(notebook):
    """Converts to ONNX: the function chose the columns and is not asked any more."""
    return make_pipeline(StandardScaler(), SelectKBest(notebook.importance, k=2), LogisticRegression()).fit(ROWS, CLASSES)


def _widening(notebook):
    """Does not convert."""
    return make_pipeline(notebook.Widen(), LogisticRegression()).fit(ROWS, CLASSES)


@pytest.fixture(scope="module")
def selecting():
    return _dump(_selecting)


@pytest.fixture(scope="module")
def widening():
    return _dump(_widening)


def _refusal(publish_pair, artifact, **options):
    with pytest.raises(PublishRefused) as refused:
        publish_pair(artifact, options=PublishOptions(**options))
    assert len(str(refused.value).splitlines()) == 1
    return str(refused.value)


def test_a_name_of_the_notebook_is_said_with_its_remedy(publish_pair, selecting, widening):
    said = _refusal(publish_pair, selecting)
    assert "importance" in said
    assert "__main__" in said
    assert "--code features.py" in said
    said = _refusal(publish_pair, widening)
    assert "Widen, Widen.Scale" in said


def test_many_names_make_one_short_line(publish_pair):
    names = b"".join(b"c__main__\nname%d\n0" % number for number in range(40))
    assert "name0, name1, name2, name3, name4 and 35 more" in _refusal(publish_pair, b"\x80\x04" + names + b"N.")


def test_a_module_that_is_not_installed_is_named(publish_pair):
    said = _refusal(publish_pair, _dump(_widening, "mypkg_transformers"))
    assert "'mypkg_transformers'" in said
    assert "install it, or give its definitions with --code" in said


def test_a_missing_part_of_an_installed_package_is_named(publish_pair):
    assert "'json.no_such_part', which is not installed here: install it" in _refusal(publish_pair, b"\x80\x04cjson.no_such_part\nname\n.")


def test_attached_code_lets_it_become_onnx_and_stays_out_of_the_server(publish_pair, workshop, selecting):
    publication = publish_pair(selecting, options=PublishOptions(code=CODE))
    assert publication.engine == "onnx", publication.engine_reason
    assert sorted(path.name for path in publication.folder.iterdir()) == ["contract.toml", "manifest.json", "manifest.sig", "model.onnx"]
    served = workshop.registry().load("pair", "v1", "1.0.0")
    assert served.manifest.code_digest == hashlib.sha256(CODE).hexdigest()


def test_code_that_scikit_learn_would_run_needs_to_be_allowed(publish_pair, workshop, widening):
    said = _refusal(publish_pair, widening, code=CODE)
    assert "--allow-code" in said
    assert workshop.repository.versions("pair") == ()


def test_allowed_code_is_published_verified_and_run_in_the_server(publish_pair, workshop, widening):
    publication = publish_pair(widening, options=PublishOptions(code=CODE, allow_code=True))
    assert publication.engine == "sklearn"
    assert (publication.folder / CODE_FILE).read_bytes() == CODE
    served = workshop.registry().load("pair", "v1", "1.0.0")
    assert served.manifest.files[CODE_FILE].sha256 == served.manifest.code_digest == hashlib.sha256(CODE).hexdigest()
    labels = [answer["label"] for answer in served.predictor.answer(ROWS, ("label",))]
    expected = load_with_code(widening, CODE).predict(ROWS)
    assert labels == [("low", "high")[cls] for cls in expected]
    assert not hasattr(sys.modules["__main__"], "Widen")


def test_code_takes_the_place_of_a_module_that_is_not_installed(publish_pair, workshop):
    artifact = _dump(_widening, "mypkg_transformers")
    assert publish_pair(artifact, options=PublishOptions(code=CODE, allow_code=True)).engine == "sklearn"
    workshop.registry().load("pair", "v1", "1.0.0")
    assert "mypkg_transformers" not in sys.modules


def _write_with_code(workshop, artifact, toml, code=CODE):
    """A hand-made version, signed and written."""
    digest = FileDigest(hashlib.sha256(code).hexdigest(), len(code))
    manifest = workshop.manifest(artifact)
    manifest = msgspec.structs.replace(manifest, files=manifest.files | {CODE_FILE: digest}, code_digest=digest.sha256)
    return workshop.repository.write(manifest, toml.encode(), artifact, workshop.signer, code=code)


@pytest.mark.parametrize("change", ["changed", "longer", "missing", "link"])
def test_row_83_changed_code_is_refused_and_never_run(workshop, pair, pair_toml, tmp_path, change):
    folder = _write_with_code(workshop, pair, pair_toml)
    sentinel = tmp_path / "written"
    bad = CODE + f"\nopen({str(sentinel)!r}, 'w').close()\n".encode()
    file = folder / CODE_FILE
    if change == "changed":
        file.write_bytes(CODE[:-1] + b"#")
    elif change == "longer":
        file.write_bytes(bad)
    else:
        file.unlink()
    if change == "link":
        elsewhere = tmp_path / "elsewhere.py"
        elsewhere.write_bytes(CODE)
        file.symlink_to(elsewhere)
    with pytest.raises(NotServable, match=r"code\.py|link"):
        workshop.registry().load("pair", "v1", "1.0.0")
    assert not sentinel.exists()


def test_row_83_signed_code_is_run_before_the_model_is_loaded(workshop, pair, pair_toml, tmp_path):
    """So that the tests above would see it run."""
    sentinel = tmp_path / "written"
    _write_with_code(workshop, pair, pair_toml, f"open({str(sentinel)!r}, 'w').close()\n".encode())
    workshop.registry().load("pair", "v1", "1.0.0")
    assert sentinel.exists()


def test_signed_code_that_fails_keeps_the_version_from_serving(workshop, pair, pair_toml):
    _write_with_code(workshop, pair, pair_toml, b"import no_such_package")
    with pytest.raises(NotServable, match="the code raises ModuleNotFoundError in line 1"):
        workshop.registry().load("pair", "v1", "1.0.0")


def test_row_84_the_code_that_was_verified_is_the_code_that_is_run(workshop, pair, pair_toml):
    folder = _write_with_code(workshop, pair, pair_toml)
    verified = workshop.repository.read("pair", "1.0.0")
    (folder / CODE_FILE).write_bytes(b"raise SystemExit")
    assert verified.code == CODE
    with pytest.raises(VersionInvalid):
        workshop.repository.read("pair", "1.0.0")


def test_code_that_no_manifest_lists_is_not_read(workshop, pair):
    folder = workshop.write(pair)
    (folder / CODE_FILE).write_bytes(b"raise SystemExit")
    assert workshop.repository.read("pair", "1.0.0").code is None
    workshop.registry().load("pair", "v1", "1.0.0")


def _decoded(workshop, pair, **changes):
    return decode_manifest(encode_manifest(workshop.manifest(pair, **changes)))


def test_a_manifest_lists_code_exactly_where_scikit_learn_runs_it(workshop, pair):
    digest, other = "a" * 64, "b" * 64
    files = workshop.manifest(pair).files
    graph = {CODE_FILE: FileDigest(digest, 3), "contract.toml": files["contract.toml"], "model.onnx": FileDigest(other, 3)}
    assert _decoded(workshop, pair, files=files | {CODE_FILE: FileDigest(digest, 3)}, code_digest=digest).listed_code is not None
    for changes in (
        {"files": files | {CODE_FILE: FileDigest(digest, 3)}},
        {"files": files | {CODE_FILE: FileDigest(digest, 3)}, "code_digest": other},
        {"code_digest": digest},
        {"files": graph, "engine": "onnx", "engine_reason": None, "code_digest": digest},
    ):
        with pytest.raises(ManifestInvalid):
            _decoded(workshop, pair, **changes)


def test_a_manifest_from_before_there_was_attached_code_is_read(workshop, pair):
    members = json.loads(encode_manifest(workshop.manifest(pair)))
    del members["code_digest"]
    assert decode_manifest(json.dumps(members).encode()).code_digest is None
    members["code_digest"] = "short"
    with pytest.raises(ManifestInvalid):
        decode_manifest(json.dumps(members).encode())


def test_code_that_is_not_needed_is_left_out(publish_pair, workshop, pair):
    said = []
    publish_pair(pair, said=said, options=PublishOptions(code=b"raise RuntimeError"))
    assert any("nothing of the attached code" in line for line in said)
    assert workshop.registry().load("pair", "v1", "1.0.0").manifest.code_digest is None


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (b"x = 1", "does not define importance"),
        (b"\n\nimport no_such_package", "ModuleNotFoundError in line 3"),
        (b"def broken(:", "SyntaxError in line 1"),
        (b"exit()", "NameError|SystemExit"),
        (b"raise SystemExit", "SystemExit in line 1"),
        (b"\x00", "SyntaxError|ValueError"),
        (b"\xff", "SyntaxError"),
        (b"#" * (1024**2 + 1), "larger than 1,048,576 bytes"),
    ],
)
def test_code_that_cannot_be_used_is_said(publish_pair, selecting, code, expected):
    with pytest.raises(PublishRefused, match=expected) as refused:
        publish_pair(selecting, options=PublishOptions(code=code))
    assert len(str(refused.value).splitlines()) == 1


def test_code_that_failed_leaves_no_module(publish_pair):
    before = set(sys.modules)
    with pytest.raises(CodeUnusable):
        run_code(b"raise ValueError")
    assert set(sys.modules) == before


def test_the_same_code_is_run_once():
    assert run_code(b"import itertools\nplace = object()") is run_code(b"import itertools\nplace = object()")


def test_code_is_not_run_as_the_main_program():
    module = run_code(b"if __name__ == '__main__':\n    raise RuntimeError\nname = __name__")
    assert module.name == module.__name__ != "__main__"


def test_names_inside_arrays_of_objects_and_classes_are_given(widening):
    estimator = load_with_code(widening, CODE)
    assert type(estimator[0].helpers_[0]).__qualname__ == "Widen.Scale"
    assert type(estimator[0]).__module__.startswith("gatehouse_attached_")


def test_code_does_not_change_installed_packages(pair):
    shadow = b"class LogisticRegression:\n    pass"
    assert type(load_with_code(pair, shadow)) is LogisticRegression


def test_plain_pickles_and_packed_files_are_loaded_with_code_too():
    plain = pickle.dumps(FunctionTransformer(np.sign)).replace(b"sign", b"sign")
    assert load_with_code(plain, b"").func is np.sign
    packed = _dump(lambda notebook: [notebook.Note("x")])
    target = io.BytesIO()
    joblib.dump(load_with_code(packed, CODE), target, compress=3)
    assert load_with_code(target.getvalue(), CODE)[0].text == "x"


def test_facts_are_told_of_a_file_that_needs_code(widening):
    assert estimator_facts(widening, PublishOptions(code=CODE)).classes == ((0, 1),)
    with pytest.raises(EngineUnusable, match="--code"):
        estimator_facts(widening)


@pytest.mark.parametrize("nest", ["alone", "in an estimator"])
def test_row_83_a_crafted_file_that_cannot_be_loaded_is_not_run(publish_pair, tmp_path, nest):
    """A file that names a notebook's objects is refused before anything of it is run."""
    sentinel = tmp_path / "written"
    crafted = b"cos\nsystem\n(Vtouch %s\ntR0c__main__\nname\n." % str(sentinel).encode()
    if nest == "in an estimator":
        estimator = pickle.dumps(LogisticRegression().fit(ROWS, CLASSES))[:-1]
        crafted = estimator + b"0" + crafted
    _refusal(publish_pair, b"\x80\x04" + crafted if nest == "alone" else crafted)
    assert not sentinel.exists()
