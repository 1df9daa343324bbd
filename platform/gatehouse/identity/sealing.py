"""Seals token keys and other secrets: AES-256-GCM under GATEHOUSE_SECRET_KEY, so that a dump of the database alone is worth nothing."""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NONCE_BYTES = 12


class TokenKeyUnreadable(Exception):
    """No secret that was given is the one under which the token key was sealed."""


class Seal:
    """Seals under `secret`; opens what was sealed under it or, while the secret is being changed, under `before`."""

    def __init__(self, secret: bytes, before: bytes = b"") -> None:
        self._current = AESGCM(_sealing_key(secret))
        self._before = [AESGCM(_sealing_key(before))] if before else []

    def close(self, kid: str, private_pem: str) -> bytes:
        """The private half of the key `kid`, sealed; it opens under this `kid` only."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._current.encrypt(nonce, private_pem.encode("ascii"), kid.encode("ascii"))

    def open(self, kid: str, sealed: bytes) -> str:
        """The private half as PEM. Raises TokenKeyUnreadable."""
        for cipher in (self._current, *self._before):
            private_pem = _opened(cipher, kid, sealed)
            if private_pem is not None:
                return private_pem
        raise TokenKeyUnreadable(
            "the database's token keys were sealed under another GATEHOUSE_SECRET_KEY; set the one that this database was used with, "
            "as GATEHOUSE_SECRET_KEY_BEFORE beside a new one; when it is lost: gatehouse token-keys rotate"
        )

    def is_current(self, kid: str, sealed: bytes) -> bool:
        """Whether it opens without `before`."""
        return _opened(self._current, kid, sealed) is not None


def readable(seal: Seal, name: str, sealed: bytes) -> str | None:
    """What was sealed under `name`; None where no secret that was given opens it."""
    try:
        return seal.open(name, sealed)
    except TokenKeyUnreadable:
        return None


def _opened(cipher: AESGCM, kid: str, sealed: bytes) -> str | None:
    try:
        return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], kid.encode("ascii")).decode("ascii")
    except (InvalidTag, ValueError):  # ValueError: too short to hold a nonce
        return None


def _sealing_key(secret: bytes) -> bytes:
    """AES-256 key from the deployment's secret (HKDF, RFC 5869)."""
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"gatehouse token key").derive(secret)
