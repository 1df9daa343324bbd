"""Tokens of a test's own making: rightly signed by a token key, whatever they say, and spelled as no library would."""

import base64
import json
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def b64(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    """The bytes behind base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def to_json(value: Any) -> bytes:
    """JSON as a token holds it; `Raw` values go in as they are."""
    if isinstance(value, dict):
        return b"{" + b",".join(to_json(name) + b":" + to_json(member) for name, member in value.items()) + b"}"
    return value.text if isinstance(value, Raw) else json.dumps(value).encode()


def new_pair() -> tuple[str, str]:
    """A token key of a test's own: private and public half as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


@dataclass(frozen=True)
class Raw:
    """A piece of JSON that no library writes, such as 1e999."""

    text: bytes


@dataclass(frozen=True)
class Forge:
    """`header` and `claims` are those of a good token; `private_pem` signs."""

    private_pem: str
    header: dict[str, Any]
    claims: dict[str, Any]

    def token(self, header: dict[str, Any] | None = None, claims: dict[str, Any] | None = None, without: str = "") -> str:
        """A rightly signed token with these members changed, and one left out."""
        both = [self.header | (header or {}), self.claims | (claims or {})]
        head, payload = ({name: value for name, value in members.items() if name != without} for members in both)
        return self.of_bytes(to_json(head), to_json(payload))

    def of_bytes(self, header: bytes, payload: bytes) -> str:
        """A rightly signed token of these documents."""
        return self.of_segments(b64(header), b64(payload))

    def of_segments(self, header: str, payload: str) -> str:
        """Rightly signed, over just this spelling."""
        return f"{header}.{payload}.{b64(self.signature(f'{header}.{payload}'.encode('latin-1')))}"

    def segments(self) -> tuple[str, str, str]:
        """The three parts of a good token."""
        header, payload, signature = self.token().split(".")
        return header, payload, signature

    def signature(self, text: bytes) -> bytes:
        """ES256, r and s of 32 bytes each."""
        r, s = decode_dss_signature(self.der_signature(text))
        return r.to_bytes(32) + s.to_bytes(32)

    def der_signature(self, text: bytes) -> bytes:
        """The same in the form that JWS does not use."""
        return self._key().sign(text, ec.ECDSA(hashes.SHA256()))

    def public_forms(self) -> dict[str, bytes]:
        """The public key in every form that somebody might take for an HMAC secret."""
        public = self._key().public_key()
        info, point = serialization.PublicFormat.SubjectPublicKeyInfo, serialization.PublicFormat.UncompressedPoint
        pem, der = public.public_bytes(serialization.Encoding.PEM, info), public.public_bytes(serialization.Encoding.DER, info)
        raw = public.public_bytes(serialization.Encoding.X962, point)
        numbers = public.public_numbers()
        jwk = json.dumps({"kty": "EC", "crv": "P-256", "x": b64(numbers.x.to_bytes(32)), "y": b64(numbers.y.to_bytes(32))})
        return {
            "pem": pem,
            "pem without its last line end": pem.rstrip(),
            "pem with CRLF": pem.replace(b"\n", b"\r\n"),
            "der": der,
            "base64 of der": base64.b64encode(der),
            "point": raw,
            "x": raw[1:33],
            "jwk": jwk.encode(),
            "nothing": b"",
            "kid": str(self.header["kid"]).encode(),
        }

    def _key(self) -> ec.EllipticCurvePrivateKey:
        key = serialization.load_pem_private_key(self.private_pem.encode(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key


def with_numbers(token: str, r: int | None = None, s: int | None = None) -> str:
    """The same token with another r or s in its signature."""
    text, _, signature = token.rpartition(".")
    old = unb64(signature)
    return f"{text}.{b64((old[:32] if r is None else r.to_bytes(32)) + (old[32:] if s is None else s.to_bytes(32)))}"


def twin(token: str) -> str:
    """The same token with the other valid signature (r, n - s)."""
    return with_numbers(token, s=P256_ORDER - int.from_bytes(unb64(token.rpartition(".")[2])[32:]))
