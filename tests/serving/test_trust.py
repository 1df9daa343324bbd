"""The folder of trusted keys, as a running server follows it."""

from pathlib import Path

import pytest

from gatehouse.serving.repository import Repository, VersionInvalid
from gatehouse.serving.signing import PublishingKeyUnusable, create_publishing_key
from gatehouse.serving.trust import FollowedKeys, retire_key, trust_key


@pytest.fixture
def followed(workshop, pair):
    """A repository that was opened before anything was published or retired."""
    repository = Repository(workshop.folder / "models", FollowedKeys(workshop.folder / "trusted"))
    workshop.write(pair)
    return repository


def test_row_83_what_a_key_has_signed_is_read_until_it_is_retired_and_no_longer(followed, workshop):
    assert followed.read("pair", "1.0.0").manifest.version == "1.0.0"
    retire_key(workshop.signer.key_id, workshop.folder / "trusted")
    assert not followed.trusts(workshop.signer.key_id)
    with pytest.raises(VersionInvalid, match="signed by a key that is not trusted here"):
        followed.read("pair", "1.0.0")
    with pytest.raises(VersionInvalid, match="signed by a key that is not trusted here"):
        followed.read_contract("pair", "1.0.0")


def test_a_key_that_is_trusted_later_counts_at_once(followed, workshop, pair, pair_toml, tmp_path: Path):
    stranger = create_publishing_key(tmp_path / "stranger.pem", tmp_path / "elsewhere")
    manifest = workshop.manifest(pair, version="1.0.1", publishing_key=stranger.key_id)
    workshop.repository.write(manifest, pair_toml.encode(), pair, stranger)
    with pytest.raises(VersionInvalid, match="not trusted here"):
        followed.read("pair", "1.0.1")
    trust_key(tmp_path / "elsewhere" / f"{stranger.key_id}.pem", workshop.folder / "trusted")
    assert followed.read("pair", "1.0.1").manifest.publishing_key == stranger.key_id
    assert [file.name for file in (workshop.folder / "trusted").iterdir() if file.suffix != ".pem"] == []


def test_a_folder_that_cannot_be_used_trusts_nothing_and_says_why(followed, workshop):
    (workshop.folder / "trusted" / "junk.pem").write_text("junk")
    with pytest.raises(VersionInvalid, match=r"junk\.pem is not an Ed25519 public key"):
        followed.read("pair", "1.0.0")
    with pytest.raises(PublishingKeyUnusable, match=r"junk\.pem"):
        FollowedKeys(workshop.folder / "trusted")
    (workshop.folder / "trusted" / "junk.pem").unlink()
    assert followed.read("pair", "1.0.0").manifest.version == "1.0.0"
