"""The registry: only what was verified, fits its endpoint and answers its golden row is ever served."""

import gc
import os
import subprocess
import sys
import weakref
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatehouse.serving.manifest import GoldenRow, encode_manifest
from gatehouse.serving.registry import MEMORY_EACH, MEMORY_FACTOR, NotServable, Registry, Release, Served


class Crafted:
    """A pickle that writes a file when it is loaded."""

    def __init__(self, sentinel):
        self.sentinel = sentinel

    def __reduce__(self):
        return (Path.write_text, (self.sentinel, "executed"))


@pytest.fixture
def sentinel(tmp_path):
    return tmp_path / "sentinel"


@pytest.fixture
def crafted(sentinel, dump):
    return dump(Crafted(sentinel))


def test_the_crafted_pickle_does_write_its_file_where_it_is_loaded(crafted, sentinel, workshop):
    workshop.write(crafted)  # signed by a trusted key: this is what the signature protects from
    with pytest.raises(NotServable, match="not a fitted estimator"):
        workshop.registry().load("pair", "v1", "1.0.0")
    assert sentinel.exists()


def _swap_artifact(workshop, folder, crafted):
    (folder / "model.joblib").write_bytes(crafted)


def _drop_signature(workshop, folder, crafted):
    _swap_artifact(workshop, folder, crafted)
    (folder / "manifest.sig").unlink()


def _forge_manifest(workshop, folder, crafted):
    _swap_artifact(workshop, folder, crafted)
    (folder / "manifest.json").write_bytes(encode_manifest(workshop.manifest(crafted)))


def _take_signature_of_another_model(workshop, folder, crafted):
    other = workshop.write(crafted, model="other")
    _forge_manifest(workshop, folder, crafted)
    (folder / "manifest.sig").write_bytes((other / "manifest.sig").read_bytes())


def _put_another_models_files(workshop, folder, crafted):
    other = workshop.write(crafted, model="other")
    for path in other.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())


def _sign_older_manifest(workshop, folder, crafted):
    _swap_artifact(workshop, folder, crafted)
    source = encode_manifest(msgspec.structs.replace(workshop.manifest(crafted), format=0))
    (folder / "manifest.json").write_bytes(source)
    (folder / "manifest.sig").write_bytes(workshop.signer.sign(source))


@pytest.mark.parametrize(
    "tamper",
    [
        _swap_artifact,
        _drop_signature,
        _forge_manifest,
        _take_signature_of_another_model,
        _put_another_models_files,
        _sign_older_manifest,
    ],
)
def test_row_83_no_unverified_pickle_is_ever_loaded(workshop, pair, crafted, sentinel, tamper):
    tamper(workshop, workshop.write(pair), crafted)
    with pytest.raises(NotServable, match=r"^pair 1\.0\.0: .*publish the model again"):
        workshop.registry().load("pair", "v1", "1.0.0")
    assert not sentinel.exists()


def test_row_84_file_replaced_after_verification_changes_nothing(workshop, pair, crafted, sentinel):
    folder = workshop.write(pair)
    plain = workshop.registry()

    def replace_then_compile(source):
        for path in folder.iterdir():
            path.write_bytes(crafted)
        return plain._compile(source)

    served = Registry(workshop.repository, replace_then_compile).load("pair", "v1", "1.0.0")
    assert served.predictor.answer(np.array([[0.5, -1.5]]), ("label",)) == [{"label": "high"}]
    assert (folder / "model.joblib").read_bytes() == crafted
    assert not sentinel.exists()


def test_row_86_public_keys_are_all_that_serving_needs(workshop, pair):
    workshop.write(pair)
    (workshop.folder / "publishing-key.pem").unlink()
    assert workshop.registry().load("pair", "v1", "1.0.0").manifest.version == "1.0.0"


def test_a_version_of_another_model_api_version_or_contract_is_refused(workshop, pair, pair_toml):
    workshop.write(pair)
    with pytest.raises(NotServable, match=r"belongs to v1, not to v2: release a version 2\.x\.y"):
        workshop.registry().load("pair", "v2", "1.0.0")
    workshop.write(pair, pair_toml.replace('"pair"', '"pear"').encode(), version="1.0.1")
    with pytest.raises(NotServable, match="contract is that of another endpoint"):
        workshop.registry().load("pair", "v1", "1.0.1")
    with pytest.raises(NotServable, match="is not in the repository"):
        workshop.registry().load("pair", "v1", "1.9.0")


def test_a_contract_that_cannot_be_used_is_refused(workshop, pair):
    workshop.write(pair, b"format = 1")
    with pytest.raises(NotServable, match="its contract cannot be used"):
        workshop.registry().load("pair", "v1", "1.0.0")


@pytest.mark.parametrize(
    "golden",
    [
        GoldenRow((0.5, -1.5), (0.5, 0.5)),
        GoldenRow((0.5, -1.5), (1.0,)),
        GoldenRow((0.5,), (0.1, 0.9)),
    ],
    ids=["other scores", "too few scores", "too few inputs"],
)
def test_a_version_that_fails_its_golden_row_is_refused(workshop, pair, golden):
    workshop.write(pair, golden_row=golden)
    with pytest.raises(NotServable, match="golden row is not answered as it was published"):
        workshop.registry().load("pair", "v1", "1.0.0")


def test_another_scikit_learn_is_refused_before_anything_is_unpickled(workshop, crafted, sentinel):
    workshop.write(crafted, libraries={"scikit-learn": "1.5.2"})
    with pytest.raises(NotServable, match=r"published with scikit-learn 1\.5\.2, but .* install scikit-learn 1\.5\.2"):
        workshop.registry().load("pair", "v1", "1.0.0")
    assert not sentinel.exists()


def test_classes_that_are_not_those_of_the_manifest_or_contract_are_refused(workshop, pair, pair_toml):
    workshop.write(pair, classes=(1, 0))
    with pytest.raises(NotServable, match="classes are not those of the manifest"):
        workshop.registry().load("pair", "v1", "1.0.0")
    workshop.write(pair, pair_toml.replace("class = 1", "class = 2").encode(), version="1.0.1")
    with pytest.raises(NotServable, match="classes of the model are not those of the contract"):
        workshop.registry().load("pair", "v1", "1.0.1")


def test_what_is_no_graph_is_refused(workshop):
    workshop.write(b"not a graph", engine="onnx")
    with pytest.raises(NotServable, match="onnxruntime cannot load the graph"):
        workshop.registry().load("pair", "v1", "1.0.0")


def test_loading_changes_nothing_until_the_switch_and_a_failure_keeps_the_old_version(workshop, pair):
    registry = workshop.registry()
    workshop.write(pair)
    served = registry.load("pair", "v1", "1.0.0")
    assert registry.get("pair", "v1") is None
    registry.fail("pair", "v1", "gone")
    registry.switch(served)
    assert registry.get("pair", "v1") is served
    assert dict(registry.failures) == {}
    registry.fail("pair", "v1", "1.0.1 is broken")
    assert registry.get("pair", "v1") is served
    assert dict(registry.failures) == {("pair", "v1"): "1.0.1 is broken"}
    registry.drop("pair", "v1")
    assert registry.get("pair", "v1") is None
    assert dict(registry.failures) == {}
    assert dict(registry.loaded) == {}


def test_no_pickle_is_read_for_a_model_served_as_onnx(published):
    """In a process of its own: neither joblib nor scikit-learn is even imported."""
    program = f"""
import sys
from pathlib import Path
from gatehouse.contracts.contract import parse_contract
from gatehouse.serving.registry import Registry
from gatehouse.serving.repository import Repository
from gatehouse.serving.signing import TrustedKeys
folder = Path({str(published.workshop.folder)!r})
repository = Repository(folder / "models", TrustedKeys.load(folder / "trusted"))
served = Registry(repository, lambda source: (None, parse_contract(source, "test"))).load("iris", "v1", "1.0.0")
assert served.manifest.engine == "onnx"
print(sorted({{"joblib", "sklearn"}} & set(sys.modules)))
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GATEHOUSE_")}
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert ended.stdout.strip() == "[]"


def test_unreleased_versions_are_unloaded_and_what_is_in_use_goes_on(workshop, pair):
    registry = workshop.registry()
    for version in ("1.0.0", "1.0.1", "1.0.2"):
        workshop.write(pair, version=version)
    first, second, third = (registry.load("pair", "v1", version) for version in ("1.0.0", "1.0.1", "1.0.2"))
    registry.switch(first, second)
    assert set(registry.loaded) == {("pair", "1.0.0"), ("pair", "1.0.1")}
    assert registry.use("pair", "1.0.1") is second
    registry.switch(second)
    assert set(registry.loaded) == {("pair", "1.0.1")}
    registry.keep(third)
    assert set(registry.loaded) == {("pair", "1.0.1")}
    assert first.predictor.answer(np.array([[0.5, -1.5]]), ("label",)) == [{"label": "high"}]
    freed = weakref.ref(first.predictor)
    del first
    gc.collect()
    assert freed() is None


def test_a_limit_of_memory_keeps_what_was_used_last_and_counts_what_is_loaded(workshop, pair, pair_toml):
    models = ("pair", "pear", "pore")
    for model in models:
        workshop.write(pair, pair_toml.replace('"pair"', f'"{model}"').encode(), model=model)
    one = MEMORY_EACH + MEMORY_FACTOR["sklearn"] * len(pair)
    registry = Registry(workshop.repository, workshop.registry()._compile, memory_bytes=2 * one)
    for model in models[:2]:
        registry.switch(registry.load(model, "v1", "1.0.0"))
    assert registry.full
    assert registry.memory_bytes == 2 * one
    assert registry.get("pair", "v1") is not None
    registry.switch(registry.load("pore", "v1", "1.0.0"))
    assert set(registry.loaded) == {("pair", "1.0.0"), ("pore", "1.0.0")}
    assert registry.get("pear", "v1") is None
    assert registry.release("pear", "v1") is not None
    registry.keep(registry.load("pear", "v1", "1.0.0"))
    assert set(registry.loaded) == {("pore", "1.0.0"), ("pear", "1.0.0")}


def test_a_contract_is_known_without_its_artifact(workshop, pair):
    folder = workshop.write(pair)
    (folder / "model.joblib").write_bytes(b"changed")
    registry = workshop.registry()
    contract = registry.read_contract("pair", "v1", "1.0.0")
    registry.announce("pair", "v1", Release("1.0.0", None, contract))
    assert registry.release("pair", "v1").contract.names == ("width", "height")
    assert registry.get("pair", "v1") is None
    (folder / "contract.toml").write_bytes(b"changed")
    with pytest.raises(NotServable, match="changed after it was signed"):
        registry.read_contract("pair", "v1", "1.0.0")


def _made(version, model="pair"):
    manifest = SimpleNamespace(model=model, version=version, api_version=f"v{version[0]}")
    return Served(manifest, f"contract of {version}", None, 1)


OF_V1, OF_V2 = (st.sampled_from([f"{major}.0.0", f"{major}.1.0"]).map(_made) for major in (1, 2))
VERSIONS = OF_V1 | OF_V2
CHANGES = st.one_of(
    *(st.tuples(st.just("switch"), versions, st.none() | versions) for versions in (OF_V1, OF_V2)),  # a canary is of the same endpoint
    st.tuples(st.just("keep"), VERSIONS),
    st.tuples(st.just("drop"), st.just("pair"), st.sampled_from(["v1", "v2"])),
    st.tuples(
        st.sampled_from(["announce", "bridge"]),
        st.just("pair"),
        st.just("v1"),
        st.builds(Release, st.sampled_from(["1.0.0", "1.1.0"]), st.none() | st.just("1.1.0"), st.just("the contract announced")),
    ),
)


@settings(max_examples=1_000, deadline=None)
@given(st.lists(CHANGES, max_size=12), st.sampled_from([0, 0, 2]))
def test_the_sole_version_of_an_endpoint_is_what_looking_it_up_finds_whatever_changed(changes, memory_bytes):
    registry = Registry(None, None, memory_bytes=memory_bytes)
    for name, *arguments in changes:
        getattr(registry, name)(*arguments)
        for api_version in ("v1", "v2"):
            release = registry.release("pair", api_version)
            served = registry.loaded.get(("pair", release.stable)) if release and not release.canary and not memory_bytes else None
            assert registry.sole.get(("pair", api_version)) == ((release.contract, served) if served else None)
