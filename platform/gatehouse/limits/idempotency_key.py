"""What a caller sends as Idempotency-Key, and the digests by which it is known again: neither it nor the body is kept."""

import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import NamedTuple

from gatehouse.call import Fields
from gatehouse.errors import IdempotencyKeyMalformed

HEADER = b"idempotency-key"
_CHARACTERS = 255
_QUOTED = re.compile(rb'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_ESCAPE = re.compile(rb"\\(.)")
_BARE = re.compile(rb"[!#-+\--:<-\[\]-~]+")
"""Visible ASCII without a quote, a backslash, and the comma and semicolon that would make it a list or give it parameters."""


class Digests(NamedTuple):
    """HMAC-SHA256 of a key (with its tenant and endpoint) and of a body (with that key)."""

    key: bytes
    body: bytes


class Digester:
    """Digests under keys made of the deployment's `secrets`; the first one is the current one, empty ones are left out."""

    def __init__(self, *secrets: bytes) -> None:
        self._keys = [hashlib.sha256(b"gatehouse idempotency\n" + secret).digest() for secret in secrets if secret]

    def digests(self, tenant_id: str, endpoint: str, key: str, body: Sequence[bytes]) -> list[Digests]:
        """One for each secret. A body of megabytes takes a while: it lets go of the interpreter, so a thread helps."""
        return [_digests(secret, f"{tenant_id}\n{endpoint}\n{key}".encode(), body) for secret in self._keys]


def sent_key(fields: Fields) -> str | None:
    """The key that a call carries; None where it has none. Raises IdempotencyKeyMalformed.

    A string of RFC 9651 (3.3.3) in quotes, as the IETF's draft has it, or the same key bare, as most clients send it.
    """
    if HEADER not in fields:
        return None
    if HEADER in fields.repeated:
        raise IdempotencyKeyMalformed("There are two Idempotency-Key headers. Send one.")
    return _read(fields[HEADER].strip(b" \t"))


def _read(value: bytes) -> str:
    quoted = _QUOTED.fullmatch(value)
    key = _ESCAPE.sub(rb"\1", quoted[1]) if quoted else value if _BARE.fullmatch(value) else b""
    if not 1 <= len(key) <= _CHARACTERS:
        raise IdempotencyKeyMalformed()
    return key.decode("ascii")


def _digests(secret: bytes, identity: bytes, body: Sequence[bytes]) -> Digests:
    of_key = hmac.digest(secret, b"key\n" + identity, "sha256")
    of_body = hmac.new(secret, b"body\n" + of_key, "sha256")
    for part in body:
        of_body.update(part)
    return Digests(of_key, of_body.digest())
