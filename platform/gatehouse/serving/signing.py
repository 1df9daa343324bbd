"""Ed25519 signatures of manifests. The private part stays with the publisher; a server holds public keys only."""

import base64
import hashlib
import os
import stat
from pathlib import Path
from typing import Annotated, Self

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

# a signature over a manifest can never be taken for one over anything else
_DOMAIN = b"gatehouse manifest signature, format 1\n"
_MAX_SIGNATURE_FILE_BYTES = 1024
_MAX_PEM_BYTES = 4096


class SignatureInvalid(Exception):
    """The manifest is not signed by a trusted key; the message names the remedy."""


class PublishingKeyUnusable(Exception):
    """A key file cannot be used; the message names the remedy."""


class _SignatureFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key_id: Annotated[str, msgspec.Meta(min_length=16, max_length=16)]
    signature: str


def _encode(file: _SignatureFile) -> bytes:
    """The one spelling of a signature file."""
    return msgspec.json.encode(file) + b"\n"


def key_id_of(public: Ed25519PublicKey) -> str:
    """First 16 hex digits of the SHA-256 of the raw public key."""
    return hashlib.sha256(public.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


class Signer:
    """A private publishing key."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.key_id = key_id_of(private.public_key())

    @classmethod
    def load(cls, private_path: Path) -> Self:
        """Raises PublishingKeyUnusable."""
        try:
            mode = private_path.stat().st_mode
            source = private_path.read_bytes()
        except OSError as error:
            raise PublishingKeyUnusable(f"the publishing key {private_path} cannot be read ({error.strerror})") from None
        if stat.S_IMODE(mode) & 0o077:
            raise PublishingKeyUnusable(f"the publishing key {private_path} is open to other users: chmod 600 {private_path}")
        try:
            private = load_pem_private_key(source, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            private = None
        if not isinstance(private, Ed25519PrivateKey):
            raise PublishingKeyUnusable(f"{private_path} is not an unencrypted Ed25519 private key in PEM: create a new publishing key")
        return cls(private)

    @property
    def public_pem(self) -> bytes:
        """The public half, as it lies in a folder of trusted keys."""
        return self._private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, manifest: bytes) -> bytes:
        """The content of `manifest.sig`."""
        signature = base64.b64encode(self._private.sign(_DOMAIN + manifest)).decode()
        return _encode(_SignatureFile(self.key_id, signature))


def create_publishing_key(private_path: Path, trusted_dir: Path) -> Signer:
    """A new key: private PEM at `private_path` (mode 600), public PEM in `trusted_dir` as `<key id>.pem`.

    Raises PublishingKeyUnusable where `private_path` exists, since a key is never overwritten; OSError. Then nothing is left of it.
    """
    private = Ed25519PrivateKey.generate()
    signer = Signer(private)
    private_path.parent.mkdir(parents=True, exist_ok=True)
    # trusted first: a crash in between leaves no key here that nobody trusts
    trust_publishing_key(signer, trusted_dir)
    try:
        _write_new(private_path, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    except OSError as error:
        (trusted_dir / f"{signer.key_id}.pem").unlink()
        if isinstance(error, FileExistsError):
            raise PublishingKeyUnusable(f"{private_path} exists; choose another path, or go on with that key") from None
        raise
    return signer


def _write_new(file: Path, content: bytes) -> None:
    """Mode 600; nothing is left where it cannot be written whole. Raises OSError, FileExistsError among them."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(content)
    except OSError:
        file.unlink()
        raise


def trust_publishing_key(signer: Signer, trusted_dir: Path) -> bool:
    """Put the public half into `trusted_dir`; whether it was missing there."""
    file = trusted_dir / f"{signer.key_id}.pem"
    if file.exists():
        return False
    trusted_dir.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".new")
    temporary.write_bytes(signer.public_pem)
    temporary.replace(file)
    return True


class TrustedKeys:
    """Public publishing keys by key id: who may sign what is loaded."""

    def __init__(self, keys: dict[str, Ed25519PublicKey]) -> None:
        self._keys = dict(keys)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """All `<key id>.pem` of a folder; none where it is missing. Raises PublishingKeyUnusable."""
        if not folder.is_dir():
            return cls({})
        found = (_read_public(path) for path in sorted(folder.glob("*.pem")))
        return cls(dict(key for key in found if key is not None))

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(self._keys)

    def verify(self, manifest: bytes, signature_file: bytes) -> str:
        """The id of the trusted key that signed these very bytes. Raises SignatureInvalid."""
        try:
            if len(signature_file) > _MAX_SIGNATURE_FILE_BYTES:
                raise ValueError
            written = msgspec.json.decode(signature_file, type=_SignatureFile)
            signature = base64.b64decode(written.signature, validate=True)
            if _encode(_SignatureFile(written.key_id, base64.b64encode(signature).decode())) != signature_file:
                raise ValueError
        except (msgspec.MsgspecError, ValueError):
            raise SignatureInvalid("manifest.sig is not a signature file: publish the model again") from None
        key = self._keys.get(written.key_id)
        if key is None:
            # the id of the file is not repeated: it is not known to be true
            raise SignatureInvalid(
                "the manifest is signed by a key that is not trusted here: publish the model again with a trusted key,"
                " or put the publisher's public key into the folder of trusted keys"
            )
        try:
            key.verify(signature, _DOMAIN + manifest)
        except InvalidSignature:
            raise SignatureInvalid(
                "the signature does not fit the manifest, which was changed after signing: publish the model again"
            ) from None
        return written.key_id


def _read_public(path: Path) -> tuple[str, Ed25519PublicKey] | None:
    """None for a key that was retired since the folder was listed. Raises PublishingKeyUnusable."""
    try:
        with path.open("rb") as file:
            source = file.read(_MAX_PEM_BYTES)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not path.is_symlink():
            return None
        raise PublishingKeyUnusable(f"the trusted key {path} cannot be read ({error.strerror})") from None
    if b"PRIVATE KEY" in source:
        raise PublishingKeyUnusable(f"{path} holds a private key, which must not be on a serving machine: move it to the publisher's")
    try:
        public = load_pem_public_key(source)
    except (ValueError, UnsupportedAlgorithm):
        public = None
    if not isinstance(public, Ed25519PublicKey):
        raise PublishingKeyUnusable(f"{path} is not an Ed25519 public key in PEM: remove it or copy the key again")
    if path.stem != key_id_of(public):
        raise PublishingKeyUnusable(f"{path} holds the key {key_id_of(public)}: rename it to {key_id_of(public)}.pem")
    return path.stem, public
