"""Signatures of Standard Webhooks: HMAC-SHA256 over id, time and body (https://www.standardwebhooks.com, version 1)."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence

PREFIX = "whsec_"
SECRET_BYTES = 32


def new_secret() -> str:
    """`whsec_` and 256 random bits in base64."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode("ascii")


def signature(secret: str, notice_id: str, timestamp: int, body: bytes) -> str:
    """`v1,` and the digest in base64; `timestamp` in seconds since 1970."""
    key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    signed = f"{notice_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode("ascii")


def signed_headers(secrets_: Sequence[str], notice_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers; one signature for each secret that is good now, a space between two."""
    return {
        "webhook-id": notice_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signature(each, notice_id, timestamp, body) for each in secrets_),
    }
