"""Publishing keys: who may sign what is loaded."""

import base64
import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gatehouse.serving.signing import PublishingKeyUnusable, SignatureInvalid, Signer, TrustedKeys, create_publishing_key


@pytest.fixture
def signer(tmp_path):
    return create_publishing_key(tmp_path / "key.pem", tmp_path / "trusted")


def test_a_new_key_is_private_named_by_its_id_and_trusted(signer, tmp_path):
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "trusted").iterdir()] == [f"{signer.key_id}.pem"]
    assert b"PRIVATE" not in (tmp_path / "trusted" / f"{signer.key_id}.pem").read_bytes()
    keys = TrustedKeys.load(tmp_path / "trusted")
    assert keys.ids == (signer.key_id,)
    assert keys.verify(b"text", Signer.load(tmp_path / "key.pem").sign(b"text")) == signer.key_id


def test_a_key_is_never_overwritten(signer, tmp_path):
    before = (tmp_path / "key.pem").read_bytes()
    with pytest.raises(PublishingKeyUnusable, match="exists"):
        create_publishing_key(tmp_path / "key.pem", tmp_path / "trusted")
    assert (tmp_path / "key.pem").read_bytes() == before
    assert [path.stem for path in (tmp_path / "trusted").iterdir()] == [signer.key_id]


@pytest.mark.parametrize("what", ["private part", "public part"])
def test_a_key_that_cannot_be_kept_whole_leaves_nothing(tmp_path, what):
    trusted, key = tmp_path / "trusted", tmp_path / "key.pem"
    script = f"""
import resource, signal
from pathlib import Path
from gatehouse.serving.signing import create_publishing_key
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({115 if what == "private part" else 20},) * 2)
create_publishing_key(Path({str(key)!r}), Path({str(trusted)!r}))
"""
    failed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "File too large" in failed.stderr
    assert not key.exists()
    assert list(trusted.glob("*.pem")) == []
    assert create_publishing_key(key, trusted).key_id in TrustedKeys.load(trusted).ids


def test_every_changed_byte_of_the_manifest_is_found(signer, tmp_path):
    keys, text = TrustedKeys.load(tmp_path / "trusted"), b'{"format": 1}'
    signature = signer.sign(text)
    for place in range(len(text)):
        changed = text[:place] + bytes([text[place] ^ 1]) + text[place + 1 :]
        with pytest.raises(SignatureInvalid, match="changed after signing"):
            keys.verify(changed, signature)


def test_a_signature_over_the_bare_bytes_is_not_one_over_a_manifest(tmp_path):
    private = Ed25519PrivateKey.generate()
    signer = Signer(private)
    bare = base64.b64encode(private.sign(b"text")).decode()
    forged = json.dumps({"key_id": signer.key_id, "signature": bare}, separators=(",", ":")).encode() + b"\n"
    with pytest.raises(SignatureInvalid, match="changed after signing"):
        TrustedKeys({signer.key_id: private.public_key()}).verify(b"text", forged)


def test_an_untrusted_key_is_refused_also_under_a_trusted_name(signer, tmp_path):
    keys, stranger = TrustedKeys.load(tmp_path / "trusted"), Signer(Ed25519PrivateKey.generate())
    with pytest.raises(SignatureInvalid, match="not trusted here"):
        keys.verify(b"text", stranger.sign(b"text"))
    disguised = stranger.sign(b"text").replace(stranger.key_id.encode(), signer.key_id.encode())
    with pytest.raises(SignatureInvalid, match="publish the model again"):
        keys.verify(b"text", disguised)


@pytest.mark.parametrize("source", [b"", b"{}", b"[]", b'{"key_id": "x", "signature": "?"}', b"x" * 5000, b"\xff"])
def test_what_is_no_signature_file_is_refused(signer, tmp_path, source):
    with pytest.raises(SignatureInvalid, match="not a signature file"):
        TrustedKeys.load(tmp_path / "trusted").verify(b"text", source)


def test_row_86_private_key_among_the_trusted_keys_stops_the_start(signer, tmp_path):
    (tmp_path / "key.pem").rename(tmp_path / "trusted" / "key.pem")
    with pytest.raises(PublishingKeyUnusable, match="private key, which must not be on a serving machine"):
        TrustedKeys.load(tmp_path / "trusted")


def test_a_trusted_key_under_a_wrong_name_or_of_another_kind_is_refused(signer, tmp_path):
    trusted = tmp_path / "trusted"
    right = trusted / f"{signer.key_id}.pem"
    right.rename(trusted / "0123456789abcdef.pem")
    with pytest.raises(PublishingKeyUnusable, match=f"rename it to {signer.key_id}.pem"):
        TrustedKeys.load(trusted)
    (trusted / "0123456789abcdef.pem").write_text("not a key")
    with pytest.raises(PublishingKeyUnusable, match="not an Ed25519 public key"):
        TrustedKeys.load(trusted)


def test_a_private_key_that_others_can_read_is_not_used(signer, tmp_path):
    (tmp_path / "key.pem").chmod(0o644)
    with pytest.raises(PublishingKeyUnusable, match="chmod 600"):
        Signer.load(tmp_path / "key.pem")


def test_no_folder_means_no_trusted_key(tmp_path):
    assert TrustedKeys.load(tmp_path / "nowhere").ids == ()


def test_a_key_that_is_retired_after_the_listing_is_left_out_and_the_others_hold(signer, tmp_path, monkeypatch):
    trusted = tmp_path / "trusted"
    other = create_publishing_key(tmp_path / "other.pem", trusted)
    opened = Path.open

    def retire_then_open(path, *how):
        (trusted / f"{signer.key_id}.pem").unlink(missing_ok=True)
        return opened(path, *how)

    monkeypatch.setattr(Path, "open", retire_then_open)
    assert TrustedKeys.load(trusted).ids == (other.key_id,)
    monkeypatch.undo()
    (trusted / f"{signer.key_id}.pem").symlink_to(tmp_path / "nowhere")
    with pytest.raises(PublishingKeyUnusable, match=f"{signer.key_id}.pem cannot be read"):
        TrustedKeys.load(trusted)
