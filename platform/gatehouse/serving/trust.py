"""The folder of trusted keys: `<key id>.pem` for each, and those that are trusted no more in `retired/`."""

import secrets
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from gatehouse.serving.signing import PublishingKeyUnusable, SignatureInvalid, TrustedKeys, key_id_of

RETIRED = "retired"
MAX_PEM_BYTES = 4096


class FollowedKeys(TrustedKeys):
    """The keys of a folder as they are whenever they are asked for: a key that was retired a moment ago is trusted no more.

    Some small files are read for each version that is loaded, which costs nothing beside the load.
    """

    def __init__(self, folder: Path) -> None:
        """Raises PublishingKeyUnusable."""
        super().__init__({})
        self._folder = folder
        TrustedKeys.load(folder)  # a wrong file stops the start

    @property
    def ids(self) -> tuple[str, ...]:
        return TrustedKeys.load(self._folder).ids

    def verify(self, manifest: bytes, signature_file: bytes) -> str:
        """As TrustedKeys; where the folder cannot be used, nothing is trusted."""
        try:
            keys = TrustedKeys.load(self._folder)
        except PublishingKeyUnusable as error:
            raise SignatureInvalid(str(error)) from None
        return keys.verify(manifest, signature_file)


def trusted_ids(folder: Path) -> tuple[str, ...]:
    """Ids of the keys that are trusted."""
    return tuple(sorted(path.stem for path in folder.glob("*.pem")))


def retired_ids(folder: Path) -> tuple[str, ...]:
    """Ids of the keys that were."""
    return trusted_ids(folder / RETIRED)


def trust_key(file: Path, folder: Path) -> str:
    """Copy a public key into the folder; returns its id. Raises PublishingKeyUnusable, also for one that was retired; OSError."""
    with file.open("rb") as opened:
        source = opened.read(MAX_PEM_BYTES)
    if b"PRIVATE KEY" in source:
        raise PublishingKeyUnusable(f"{file} holds a private key, which stays with the publisher: ask for the public one")
    try:
        public = load_pem_public_key(source)
    except (ValueError, UnsupportedAlgorithm):
        public = None
    if not isinstance(public, Ed25519PublicKey):
        raise PublishingKeyUnusable(f"{file} is not an Ed25519 public key in PEM: ask the publisher for the file again")
    key_id = key_id_of(public)
    if key_id in retired_ids(folder):
        raise PublishingKeyUnusable(f"the key {key_id} was retired here: publish with another one")
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{key_id}.{secrets.token_hex(8)}"  # a running server never reads half a key
    temporary.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    temporary.replace(folder / f"{key_id}.pem")
    return key_id


def retire_key(key_id: str, folder: Path) -> None:
    """Trust a key no more; `key_id` is one of `trusted_ids`. Raises OSError."""
    (folder / RETIRED).mkdir(exist_ok=True)
    (folder / f"{key_id}.pem").replace(folder / RETIRED / f"{key_id}.pem")
