"""Which version a model becomes: decided by its contract, held against those that are published."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gatehouse.cli.version_choice import VersionChoice, choose_version
from gatehouse.contracts.contract import Contract, parse_contract
from gatehouse.errors import Refused
from gatehouse.serving.manifest import ARTIFACT_FILES, CONTRACT_FILE, MANIFEST_FORMAT, FileDigest, GoldenRow, Manifest
from gatehouse.serving.repository import Repository
from gatehouse.serving.signing import Signer, TrustedKeys, create_publishing_key

CONTRACT = """
format = 1
model = "pair"
api_version = "{api_version}"
[features.width]
type = "number"
minimum = {minimum}
maximum = 4
example = 0.5
[output]
task = "classification"
labels = [{{class = 0, name = "low"}}, {{class = 1, name = "{high}"}}]
"""
Choose = Callable[..., VersionChoice]


def contract(api_version: str = "v1", minimum: float = -4, high: str = "high", head: str = "") -> bytes:
    return (head + CONTRACT.format(api_version=api_version, minimum=minimum, high=high)).encode()


def read(source: bytes) -> Contract:
    return parse_contract(source, "changed.toml")


class Shelf:
    """A repository with versions whose artifacts nobody loads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.signer: Signer = create_publishing_key(folder / "key.pem", folder / "trusted")
        self.repository = Repository(folder / "models", TrustedKeys.load(folder / "trusted"))
        self.notes: list[str] = []

    def publish(self, source: bytes, wanted: str | None = None) -> str:
        choice = choose_version(self.repository, read(source), wanted, self.notes.append)
        digest, artifact = hashlib.sha256(source).hexdigest(), b"never loaded"
        manifest = Manifest(
            format=MANIFEST_FORMAT,
            model="pair",
            version=choice.version,
            api_version=read(source).api_version,
            engine="onnx",
            engine_reason=None,
            files={
                CONTRACT_FILE: FileDigest(digest, len(source)),
                ARTIFACT_FILES["onnx"]: FileDigest(hashlib.sha256(artifact).hexdigest(), len(artifact)),
            },
            contract_digest=digest,
            revision_digest=choice.revision_digest or digest,
            classes=(0, 1),
            libraries={},
            parity=None,
            golden_row=GoldenRow((0.5,), (0.5, 0.5)),
            publishing_key=self.signer.key_id,
            created_at=datetime(2026, 11, 21, tzinfo=UTC),
        )
        self.repository.write(manifest, source, artifact, self.signer)
        return choice.version

    def refusal(self, source: bytes, wanted: str | None = None) -> str:
        with pytest.raises(Refused) as refused:
            choose_version(self.repository, read(source), wanted, self.notes.append)
        return str(refused.value)

    def digests(self, version: str) -> tuple[Any, Any]:
        manifest, _ = self.repository.read_contract("pair", version)
        return manifest.contract_digest, manifest.revision_digest


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """On which `pair` 1.0.0 stands."""
    made = Shelf(tmp_path)
    assert made.publish(contract()) == "1.0.0"
    return made


def test_the_same_contract_is_a_patch_and_a_grown_one_a_minor(shelf: Shelf) -> None:
    assert shelf.publish(contract()) == "1.0.1"
    assert shelf.publish(contract(head="# only words\n")) == "1.0.2"
    assert shelf.publish(contract(minimum=-5)) == "1.1.0"
    assert shelf.publish(contract(minimum=-5)) == "1.1.1"
    assert shelf.publish(contract(minimum=-6), "1.4.0") == "1.4.0"
    assert shelf.publish(contract(minimum=-7)) == "1.5.0"


@pytest.mark.parametrize("wanted", [None, "1.1.0", "1.0.1"])
def test_a_breaking_change_is_refused_with_its_list_and_the_next_major(shelf: Shelf, wanted: str | None) -> None:
    refused = shelf.refusal(contract(minimum=-3, high="tall"), wanted)
    assert "features.width: range narrowed: was -4 to 4, now -3 to 4" in refused
    assert "output.labels: label renamed: was high, now tall" in refused
    assert 'v2.toml, with api_version = "v2"' in refused
    assert shelf.publish(contract("v2", minimum=-3, high="tall")) == "2.0.0"
    assert 'api_version = "v3"' in shelf.refusal(contract(minimum=-3))


def test_a_released_revision_is_frozen(shelf: Shelf) -> None:
    shelf.publish(contract(minimum=-5))
    refused = shelf.refusal(contract(minimum=-5), "1.0.7")
    assert "1.0.7 would be of revision 1.0, whose contract is frozen since 1.0.0 was published" in refused
    assert "features.width: range widened" in refused
    assert "another minor number: 1.2.0" in refused


def test_a_version_between_two_others_is_held_against_both(shelf: Shelf) -> None:
    shelf.publish(contract(minimum=-6), "1.5.0")
    assert shelf.publish(contract(minimum=-5), "1.3.0") == "1.3.0"
    refused = shelf.refusal(contract(minimum=-7), "1.4.0")
    assert "callers of pair/v1 who go from 1.4.0 to 1.5.0 would break" in refused


def test_every_version_of_a_revision_names_the_digest_of_its_first_contract(shelf: Shelf) -> None:
    shelf.publish(contract(head="# only words\n"))
    shelf.publish(contract(minimum=-5))
    (first, frozen), (second, same), (third, other) = (shelf.digests(version) for version in ("1.0.0", "1.0.1", "1.1.0"))
    assert first == frozen == same
    assert second != first
    assert third == other != frozen


def test_a_version_that_cannot_be_verified_is_not_compared_and_that_is_said(shelf: Shelf) -> None:
    (shelf.folder / "models" / "pair" / "1.0.0" / "manifest.sig").unlink()
    assert shelf.publish(contract(minimum=-3)) == "1.0.1"
    [note] = shelf.notes
    assert "manifest.sig is missing" in note
    assert note.endswith("so its contract is not compared")


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("2.0.0", "version 2.0.0 does not belong to v1, whose next free version is 1.0.1"),
        ("1.0", "a model version is MAJOR.MINOR.PATCH"),
        ("01.0.0", "a model version is MAJOR.MINOR.PATCH"),
        ("../1.0.0", "a model version is MAJOR.MINOR.PATCH"),
    ],
)
def test_a_version_that_cannot_be_is_refused(shelf: Shelf, wanted: str, said: str) -> None:
    assert said in shelf.refusal(contract(), wanted)
