"""The folder of trusted keys: `<key id>.pem` for each, and those that are trusted no more in `retired/`."""

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from gatehouse.serving.signing import PublishingKeyUnusable, key_id_of

RETIRED = "retired"
MAX_PEM_BYTES = 4096


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
    (folder / f"{key_id}.pem").write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return key_id


def retire_key(key_id: str, folder: Path) -> None:
    """Trust a key no more; `key_id` is one of `trusted_ids`. Raises OSError."""
    (folder / RETIRED).mkdir(exist_ok=True)
    (folder / f"{key_id}.pem").replace(folder / RETIRED / f"{key_id}.pem")
