"""Token keys: ES256 pairs in the database, the private half sealed under GATEHOUSE_SECRET_KEY, so that all replicas share them."""

import os
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gatehouse.db.revision import hold_revision
from gatehouse.db.session import Database
from gatehouse.identity.store import TokenKey, add_token_key, list_token_keys
from gatehouse.identity.tokens import SigningKey

NONCE_BYTES = 12


class TokenKeyUnreadable(Exception):
    """GATEHOUSE_SECRET_KEY is not the one under which the token key was sealed."""


def load_token_keys(database: Database, secret: bytes) -> tuple[SigningKey, dict[str, str]]:
    """The key that signs and all public keys by `kid`; the first call on a new database makes a pair.

    Raises TokenKeyUnreadable, sqlalchemy.exc.OperationalError.
    """
    with database.write() as session:
        hold_revision(session)  # processes that start together on a new database must end with the same pair
        stored = list_token_keys(session)
        if not stored:
            kid, public_pem, sealed = _make_pair(secret)
            add_token_key(session, kid, public_pem, sealed)
            stored = list_token_keys(session)
    newest = max(stored, key=lambda key: (key.created_at, key.kid))
    return SigningKey(newest.kid, _unseal(newest, secret)), {key.kid: key.public_pem for key in stored}


def _make_pair(secret: bytes) -> tuple[str, str, bytes]:
    private = ec.generate_private_key(ec.SECP256R1())
    kid = secrets.token_hex(8)
    pem = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    nonce = os.urandom(NONCE_BYTES)
    return kid, public.decode("ascii"), nonce + AESGCM(_sealing_key(secret)).encrypt(nonce, pem, kid.encode("ascii"))


def _unseal(key: TokenKey, secret: bytes) -> str:
    nonce, sealed = key.private_sealed[:NONCE_BYTES], key.private_sealed[NONCE_BYTES:]
    try:
        return AESGCM(_sealing_key(secret)).decrypt(nonce, sealed, key.kid.encode("ascii")).decode("ascii")
    except InvalidTag:
        raise TokenKeyUnreadable(
            "the database's token keys were sealed under another GATEHOUSE_SECRET_KEY; set the one that this database was used with"
        ) from None


def _sealing_key(secret: bytes) -> bytes:
    """AES-256 key from the deployment's secret (HKDF, RFC 5869)."""
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"gatehouse token key").derive(secret)
