"""What a file refers to is read from its opcodes; nothing in it is run, and a hostile file costs little."""

import bz2
import contextlib
import gzip
import io
import lzma
import os
import pickle
import pickletools
import struct
import sys
import time
import tracemalloc
import zlib

import joblib
import numpy as np
import pytest
import sklearn
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from gatehouse.serving import pickle_contents, pickle_stream
from gatehouse.serving.pickle_contents import read_contents
from gatehouse.serving.pickle_stream import PickleRefused, PickleStream
from gatehouse.serving.pickle_values import Global

RANDOM = np.random.default_rng(3)
ROWS = RANDOM.normal(size=(60, 3))
CLASSES = (ROWS[:, 0] > 0).astype(int)
PACKINGS = (0, 3, ("gzip", 3), ("bz2", 3), ("lzma", 3), ("xz", 3))


class Bomb:
    """Writes a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.fixture(scope="module")
def estimators():
    texts = [f"word{number} common{number % 3}" for number in range(200)]
    return {
        "forest": RandomForestClassifier(5, random_state=1).fit(ROWS, CLASSES),
        "booster": HistGradientBoostingClassifier(max_iter=3).fit(ROWS, CLASSES),
        "text": make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, [number % 2 for number in range(200)]),
        "mixed": OneHotEncoder().fit(np.array([["a", None], ["b", "c"]], dtype=object)),
    }


ARRAYS = {
    "columns first": np.asfortranarray(np.ones((3, 4))),
    "empty": np.zeros((0, 3)),
    "scalar": np.array(5.0),
    "texts": np.array(["a", "bcd"]),
    "dates": np.array(["2026-11-21"], dtype="M8[D]"),
    "yes and no": np.array([True, False]),
    "objects": np.array([{"a": (1, 2.5)}, None, "x"], dtype=object),
    "structure": np.zeros(3, dtype=[("a", "f8"), ("b", "i2")]),
    "structure with objects": np.zeros(3, dtype=[("a", "f8"), ("b", "O")]),
    "any text": np.array(["a", "bcd"], dtype=np.dtypes.StringDType()),
    "sparse": csr_matrix(np.eye(4)),
    "random state": np.random.RandomState(3),
    "generator": np.random.default_rng(3),
}


def _dumped(value, packing=0, protocol=None):
    target = io.BytesIO()
    joblib.dump(value, target, compress=packing, protocol=protocol)
    return target.getvalue()


class Witness(pickle._Unpickler):
    """Loads for real and notes every name that is asked for."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.asked = set()

    def find_class(self, module, name):
        self.asked.add(Global(module, name))
        return super().find_class(module, name)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", ["forest", "booster", "text", "mixed"])
def test_a_plain_pickle_tells_every_name_and_its_version(estimators, name, protocol):
    source = pickle.dumps(estimators[name], protocol=protocol)
    witness = Witness(io.BytesIO(source))
    witness.load()
    found = read_contents(source)
    assert set(found.globals) == witness.asked
    assert found.sklearn_versions == (sklearn.__version__,)


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("packing", PACKINGS, ids=str)
def test_a_joblib_file_tells_the_same_however_it_is_packed(estimators, packing, protocol):
    plain = read_contents(_dumped(estimators, protocol=protocol))
    assert plain.sklearn_versions == (sklearn.__version__,)
    assert Global("joblib.numpy_pickle", "NumpyArrayWrapper") in plain.globals
    assert {module.partition(".")[0] for module, _ in plain.globals} >= {"sklearn", "numpy", "joblib"}
    assert read_contents(_dumped(estimators, packing, protocol)) == plain


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("protocol", [2, 5])
def test_the_bytes_of_every_kind_of_array_are_stepped_over(name, protocol):
    # what stands behind the array is found, so its end was
    behind = read_contents(_dumped([ARRAYS[name], Bomb("/dev/null")], protocol=protocol))
    assert Global(os.system.__module__, "system") in behind.globals


def test_an_object_inside_an_array_of_objects_is_found():
    inside = np.array([np.array([Bomb("/dev/null")], dtype=object)], dtype=object)
    assert Global(os.system.__module__, "system") in read_contents(_dumped(inside)).globals


@pytest.mark.parametrize("dump", [_dumped, pickle.dumps], ids=["joblib", "pickle"])
@pytest.mark.parametrize("nest", ["alone", "in an estimator", "in an array"])
def test_row_83_nothing_is_run_while_a_crafted_pickle_is_read(tmp_path, dump, nest):
    sentinel = tmp_path / "written"
    value = Bomb(sentinel)
    if nest == "in an estimator":
        value = LogisticRegression().fit(ROWS, CLASSES)
        value.extra_ = Bomb(sentinel)
    elif nest == "in an array":
        value = np.array([Bomb(sentinel)], dtype=object)
    source = dump(value)
    assert Global(os.system.__module__, "system") in read_contents(source).globals
    assert not sentinel.exists()
    joblib.load(io.BytesIO(source)) if dump is _dumped else pickle.loads(source)
    assert sentinel.exists(), "the crafted file writes nothing, so this test proved nothing"


def test_no_module_is_imported_to_read_a_name():
    source = b"\x80\x04\x8c\x08colorsys\x8c\x0argb_to_hsv\x93."
    sys.modules.pop("colorsys", None)
    assert read_contents(source).globals == (Global("colorsys", "rgb_to_hsv"),)
    assert "colorsys" not in sys.modules


def test_versions_of_several_estimators_are_all_told():
    first = LogisticRegression().fit(ROWS, CLASSES).__getstate__() | {"_sklearn_version": "1.5.2"}
    source = b"\x80\x04]" + b"".join(
        b"csklearn.linear_model._logistic\nLogisticRegression\n)\x81" + pickle.dumps(state, protocol=4)[2:-1] + b"ba"
        for state in (first, first | {"_sklearn_version": "1.6.1"})
    )
    assert read_contents(source + b".").sklearn_versions == ("1.5.2", "1.6.1")


def _refusal(source):
    with pytest.raises(PickleRefused) as refused:
        read_contents(source)
    said = str(refused.value)
    assert len(said.splitlines()) == 1
    assert len(said) < 200
    return said


@pytest.mark.parametrize(
    "source",
    [
        b"",
        b"PK\x03\x04" + bytes(40),
        b"\x89HDF\r\n",
        b"import pickle\n",
        b"{}",
        b"\x80\x04",
        b".",
        b"\x80\x04.",
        bytes(100),
        b"\x80\x04]\x93.",
    ],
    ids=repr,
)
def test_what_is_no_pickle_is_said_to_be_none(source):
    assert "joblib.dump" in _refusal(source)


@pytest.mark.parametrize("packing", PACKINGS, ids=str)
def test_a_file_that_ends_early_is_refused_at_every_place(packing):
    source = _dumped({"a": np.arange(300.0), "b": np.array(["x", None], dtype=object), "c": list(range(30))}, packing)
    for end in range(0, len(source) - (0 if packing == 0 else 64), 7):  # the packers' own trailers hold nothing of the pickle
        _refusal(source[:end])


def test_damaged_packing_is_said():
    for packing in PACKINGS[1:]:
        source = bytearray(_dumped(list(range(5000)), packing))
        source[len(source) // 2] ^= 0xFF
        source[len(source) // 2 + 1] ^= 0xFF
        _refusal(bytes(source))


def test_a_file_of_an_old_joblib_is_named():
    assert "before 0.10" in _refusal(b"ZF0x1000      ")


def test_a_file_packed_with_lz4_is_named_where_lz4_is_missing(monkeypatch):
    monkeypatch.setattr(pickle_stream.importlib.util, "find_spec", lambda _name: None)
    assert "lz4" in _refusal(b"\x04\x22\x4d\x18" + bytes(20))


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(b"\x80\x04B\xff\xff\xff\x7fabc.", id="bytes of two gigabytes"),
        pytest.param(b"\x80\x05\x96" + struct.pack("<Q", 2**62) + b"abc.", id="bytearray of exabytes"),
        pytest.param(b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"abc.", id="text of exabytes"),
        pytest.param(b"\x80\x04\x8b\xff\xff\xff\x7f\x01.", id="number of two gigabytes"),
        pytest.param(b"\x80\x04\x95" + struct.pack("<Q", 2**63) + b"N", id="frame of exabytes"),
    ],
)
def test_declared_lengths_take_no_memory(source):
    tracemalloc.start()
    try:
        _refusal(source)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


def _array_of(shape, dtype=b"f8"):
    """A joblib array of a shape that was never written."""
    wrapper = b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}("
    made = b"cnumpy\ndtype\nU" + bytes([len(dtype)]) + dtype + b"\x89\x88\x87R"
    return b"\x80\x02" + wrapper + b"U\x05shape" + pickle.dumps(shape, protocol=2)[2:-1] + b"U\x05dtype" + made + b"ub."


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((2**40,), b"f8"),
        ((2**31, 2**31), b"f8"),
        ((10**9,) * 60, b"f8"),
        ((-1,), b"f8"),
        (("a",), b"f8"),
        ((1,), b"f8,f8"),
        ((1,), b"V999999999"),
    ],
)
def test_arrays_that_are_not_there_are_refused(shape, dtype):
    _refusal(_array_of(shape, dtype))


def test_the_last_of_two_shapes_counts():
    twice = _array_of((2,)).replace(b"}(", b"}(U\x05shapeK\x05\x85")
    assert read_contents(twice[:-1] + bytes(16) + b".").globals[0].name == "NumpyArrayWrapper"


def test_a_small_array_described_like_that_is_read():
    assert read_contents(_array_of((2,))[:-1] + bytes(16) + b".").globals[0].name == "NumpyArrayWrapper"


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(b"\x80\x04)" + b"".join(b"q\x00h\x00\x86" for _ in range(2000)) + b".", id="tuple of itself doubled 2000 times"),
        pytest.param(b"\x80\x04})" + b"\x94h\x00\x86" * 60 + b"Ns.", id="dictionary keyed by nested tuples"),
        pytest.param(b"\x80\x04" + b"(" * 100_000 + b"t" * 100_000 + b".", id="nested 100,000 deep"),
        pytest.param(b"\x80\x04" + b"(" * 100_000 + b"]" + b"e" * 1000 + b".", id="marks that never end"),
        pytest.param(b"\x80\x04N" + b"0N" * 50_000 + b".", id="thrown away again and again"),
        pytest.param(
            b"\x80\x04" + b"".join(b"}r" + struct.pack("<I", 2**31 + place) for place in range(30_000)) + b".", id="huge memo places"
        ),
    ],
)
def test_a_file_that_doubles_itself_is_cheap_to_read(source):
    """Each would take ages, gigabytes or the stack if its values were made, hashed or compared."""
    tracemalloc.start()
    try:
        started = time.monotonic()
        with contextlib.suppress(PickleRefused):
            read_contents(source)
        assert time.monotonic() - started < 30
        assert tracemalloc.get_traced_memory()[1] < 400_000_000
    finally:
        tracemalloc.stop()


def test_work_and_memory_are_bounded(monkeypatch):
    monkeypatch.setattr(pickle_contents, "MAX_OPCODES", 1000)
    monkeypatch.setattr(pickle_contents, "MAX_STACK", 100)
    monkeypatch.setattr(pickle_contents, "MAX_GLOBALS", 10)
    assert "too many objects to be read" in _refusal(b"\x80\x04" + b"N0" * 600 + b"N.")
    assert "too many objects at once" in _refusal(b"\x80\x04" + b"N" * 101 + b".")
    assert "too many objects" in _refusal(b"\x80\x04" + b"".join(b"cos\nname%d\n" % number for number in range(11)) + b".")


def test_arrays_in_arrays_are_bounded():
    value = "x"
    for _ in range(pickle_contents.MAX_NESTED + 1):
        value = np.array([value, None], dtype=object)
    # joblib pickles what stands in an array of objects plainly, so nesting is made by hand
    inner = b"\x80\x02N."
    for _ in range(pickle_contents.MAX_NESTED + 1):
        inner = _array_of((1,), b"O8")[:-1] + inner + b"."
    assert "too deeply" in _refusal(inner)
    read_contents(_dumped(value))


@pytest.mark.parametrize(
    "pack", [zlib.compress, gzip.compress, bz2.compress, lzma.compress, lambda data: lzma.compress(data, lzma.FORMAT_ALONE)]
)
def test_what_unpacks_without_end_is_cut(pack):
    packed = pack(b"\x80\x04B" + struct.pack("<I", 2**31) + bytes(40_000_000))
    tracemalloc.start()
    try:
        stream = PickleStream(packed, max_bytes=10_000_000)
        with pytest.raises(PickleRefused, match="unpacks to more than 10,000,000 bytes"):
            stream.skip(2**31)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "source", [b"\x80\x04Pid\n.", b"\x80\x04NQ.", b"\x80\x02\x82\x01.", b"\x80\x05\x97."], ids=["persid", "binpersid", "ext", "buffer"]
)
def test_what_lies_outside_the_file_is_refused(source):
    assert "more than itself" in _refusal(source)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(source):
    for start in (b"", b"\x80\x04"):
        with contextlib.suppress(PickleRefused):
            read_contents(start + source)


OPCODES = [opcode.code.encode("latin-1") for opcode in pickletools.opcodes]


@given(st.lists(st.one_of(st.sampled_from(OPCODES), st.binary(max_size=3), st.sampled_from([b"os\nsystem\n", b"\x02ab"])), max_size=60))
def test_any_opcodes_are_read_or_refused(parts):
    with contextlib.suppress(PickleRefused):
        read_contents(b"\x80\x04" + b"".join(parts) + b".")


WHOLE = _dumped({"a": np.arange(6.0), "b": np.array(["x", None], dtype=object), "c": LogisticRegression().fit(ROWS, CLASSES)})


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_changed_bytes_are_read_or_refused(changes):
    source = bytearray(WHOLE)
    for place, value in changes:
        source[place] = value
    with contextlib.suppress(PickleRefused):
        read_contents(bytes(source))
