"""The manifest: strict, one spelling, never pointing outside its folder."""

import json

import msgspec
import pytest

from gatehouse.serving.manifest import FileDigest, ManifestInvalid, decode_manifest, encode_manifest


@pytest.fixture
def manifest(workshop, pair):
    return workshop.manifest(pair)


def _changed(manifest, **members):
    return json.dumps(json.loads(encode_manifest(manifest)) | members).encode()


def test_what_is_written_reads_back_the_same_in_one_spelling(manifest):
    source = encode_manifest(manifest)
    assert decode_manifest(source) == manifest
    assert encode_manifest(decode_manifest(source)) == source


@pytest.mark.parametrize("number", [0, 2])
def test_row_83_manifest_of_another_format_is_refused(manifest, number):
    with pytest.raises(ManifestInvalid, match=f"has format {number}.*publish the model again"):
        decode_manifest(_changed(manifest, format=number))


@pytest.mark.parametrize(
    "members",
    [
        {"surprise": 1},
        {"model": "../iris"},
        {"model": 3},
        {"version": "1.0"},
        {"version": "1.0.0-rc1"},
        {"api_version": "v2"},
        {"engine": "pickle"},
        {"contract_digest": "00"},
        {"contract_digest": "0" * 64},
        {"created_at": "yesterday"},
    ],
    ids=str,
)
def test_contradictions_and_unknown_members_are_refused(manifest, members):
    with pytest.raises(ManifestInvalid, match="publish the model again"):
        decode_manifest(_changed(manifest, **members))


@pytest.mark.parametrize("name", ["../model.joblib", "/etc/passwd", "model.onnx", "sub/model.joblib"])
def test_row_85_manifest_cannot_name_a_file_outside_its_folder(manifest, name):
    files = {"contract.toml": manifest.files["contract.toml"], name: FileDigest("0" * 64, 1)}
    with pytest.raises(ManifestInvalid, match=r"contract\.toml and model\.joblib and nothing else"):
        decode_manifest(encode_manifest(msgspec.structs.replace(manifest, files=files)))


@pytest.mark.parametrize("source", [b"", b"{", b"[]", b"null", b'{"format": "1"}', b"\xff", b'{"format": 1}'])
def test_what_is_no_manifest_is_refused(source):
    with pytest.raises(ManifestInvalid, match="publish the model again"):
        decode_manifest(source)


@pytest.mark.parametrize("classes", [None, [0, 1], ["a", "b"], [[0, 1], [0, 1, 2]], [["no", "yes"], [1, 2]]], ids=str)
def test_classes_of_one_target_of_several_and_of_none_are_read(manifest, classes):
    read = decode_manifest(_changed(manifest, classes=classes)).classes
    assert json.loads(json.dumps(read)) == classes


def test_a_manifest_from_before_labels_of_its_own_is_read(manifest):
    members = json.loads(encode_manifest(manifest))
    del members["own_labels"]
    read = decode_manifest(json.dumps(members).encode())
    assert (read.classes, read.own_labels) == ((0, 1), False)


@pytest.mark.parametrize(
    "classes", [[], [[]], [[0, 1]], [0, [0, 1]], [[0, 1], 2], [[0, 1], []], [[0, 1], None], [[[0]], [1]], {"0": 1}, "ab"], ids=str
)
def test_classes_that_are_neither_of_one_target_nor_of_several_are_refused(manifest, classes):
    with pytest.raises(ManifestInvalid, match="publish the model again"):
        decode_manifest(_changed(manifest, classes=classes))


@pytest.mark.parametrize("members", [{"classes": None}, {"engine": "onnx"}], ids=str)
def test_only_a_classifier_of_scikit_learn_tells_labels_of_its_own(manifest, members):
    assert decode_manifest(_changed(manifest, own_labels=True)).own_labels
    if "engine" in members:
        files = json.loads(encode_manifest(manifest))["files"]
        members = members | {"files": {"contract.toml": files["contract.toml"], "model.onnx": files["model.joblib"]}}
    with pytest.raises(ManifestInvalid, match=r"only a classifier that scikit-learn serves.*publish the model again"):
        decode_manifest(_changed(manifest, own_labels=True, **members))
