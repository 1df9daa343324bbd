"""Access tokens of keys and of people: ES256 JWTs (RFC 9068), and the only door to python-jose.

python-jose alone lets too much in (`crit`, any `typ` and `kid`, doubled members, other spellings of base64), so the whole
text is checked here first; python-jose then proves the signature of what was checked.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jose import jwk, jws, jwt

from gatehouse.principal import Role, Scope

ALGORITHM = "ES256"
TOKEN_TYPE = "at+jwt"  # noqa: S105  (RFC 9068 2.1, not a secret)
PEOPLE = "people"
"""The audience of a person's token; a key's is the issuer."""
LIFETIME_S = 900
LEEWAY_S = 5
"""For `iat` and `nbf` only; `exp` has none."""
MAX_CHARACTERS = 2048
KID_UNKNOWN = "token_kid"
"""Why a token of a key that this process does not know is refused."""
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_SEGMENT = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_COMMON_CLAIMS = frozenset({"iss", "aud", "sub", "tenant", "jti", "iat", "nbf", "exp"})
_KEY_CLAIMS = _COMMON_CLAIMS | {"client_id", "scope"}
_PERSON_CLAIMS = _COMMON_CLAIMS | {"role"}


class TokenRefused(Exception):
    """The token is not one of ours, or not now. The message is for the log and never holds a part of the token."""


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """What a key's proven token says. Times are seconds since 1970."""

    tenant_id: str
    key_id: str
    scopes: frozenset[Scope]
    jti: str
    kid: str
    """Which token key signed it."""
    issued_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class PersonClaims:
    """What a person's proven token says."""

    tenant_id: str
    person_id: str
    role: Role
    jti: str
    kid: str
    issued_at: int
    """When the person logged in."""
    expires_at: int


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The private half that signs new tokens."""

    kid: str
    private_pem: str

    def __repr__(self) -> str:
        return f"SigningKey({self.kid!r})"


class TokenIssuer:
    """Signs tokens for one issuer."""

    def __init__(self, issuer: str, key: SigningKey) -> None:
        self._issuer = issuer
        self.kid = key.kid
        self._key = jwk.construct(key.private_pem, ALGORITHM)

    def issue(self, *, tenant_id: str, key_id: str, scopes: frozenset[Scope], jti: str, now: int, expires_at: int) -> str:
        """A key's signed token that ends at `expires_at`, at most LIFETIME_S after `now`."""
        claims = {"aud": self._issuer, "sub": key_id, "client_id": key_id, "scope": " ".join(sorted(scopes))}
        return self._signed(claims, tenant_id, jti, now, expires_at)

    def issue_to_person(self, *, tenant_id: str, person_id: str, role: Role, jti: str, now: int) -> str:
        """A signed token of LIFETIME_S for a person who logged in at `now`."""
        return self._signed({"aud": PEOPLE, "sub": person_id, "role": role.value}, tenant_id, jti, now, now + LIFETIME_S)

    def _signed(self, claims: dict[str, str], tenant_id: str, jti: str, now: int, expires_at: int) -> str:
        common = {"iss": self._issuer, "tenant": tenant_id, "jti": jti, "iat": now, "nbf": now, "exp": min(expires_at, now + LIFETIME_S)}
        text: str = jwt.encode(claims | common, self._key, algorithm=ALGORITHM, headers={"typ": TOKEN_TYPE, "kid": self.kid})
        return text


class TokenVerifier:
    """Proves tokens of one issuer against its public keys, by `kid`."""

    def __init__(self, issuer: str, public_pems: Mapping[str, str]) -> None:
        self._issuer = issuer
        self._keys = {kid: jwk.construct(pem, ALGORITHM) for kid, pem in public_pems.items()}

    def verify(self, text: str, now: float) -> TokenClaims | PersonClaims:
        """The claims of a token that is ours, whole, canonical, signed and valid at `now`. Raises TokenRefused for all else."""
        header, payload, signature = _segments(text)
        kid, key = self._key_of(_members(header))
        _check_signature_numbers(signature)
        claims = _check_claims(_members(payload), kid, self._issuer, now)
        try:
            proven = jws.verify(text, key, [ALGORITHM])
        except Exception as error:  # python-jose lets RecursionError and others past its own JWSError
            raise TokenRefused("token_signature") from error
        if proven != payload:
            raise TokenRefused("token_signature")
        return claims

    def _key_of(self, header: dict[str, Any]) -> tuple[str, Any]:
        # an exact set of members: crit, b64, zip, jwk, jku, x5u and x5c have no place in it
        if set(header) != {"alg", "typ", "kid"} or header["alg"] != ALGORITHM or header["typ"] != TOKEN_TYPE:
            raise TokenRefused("token_header")
        kid = header["kid"]
        if not isinstance(kid, str) or kid not in self._keys:
            raise TokenRefused(KID_UNKNOWN)
        return kid, self._keys[kid]


def public_jwk(kid: str, public_pem: str) -> dict[str, str]:
    """A public key as a member of a JWK set (RFC 7517 4, RFC 7518 6.2.1): an exact list of members, none of them private."""
    numbers = jwk.construct(public_pem, ALGORITHM).public_key().to_dict()
    return {name: numbers[name] for name in ("kty", "crv", "x", "y")} | {"kid": kid, "use": "sig", "alg": ALGORITHM}


def dated_from(moment: datetime | None) -> int:
    """The first whole second behind a rotation or a new password; 0 without one.

    A token says its age in whole seconds: those got by the new secret are dated then or later (`Verified.issued_from`), and of an
    earlier one it is certain that the new secret did not get it.
    """
    return 0 if moment is None else int(moment.timestamp()) + 1


def _segments(text: str) -> tuple[bytes, bytes, bytes]:
    """Header, payload and signature, decoded; each spelled in the one canonical way (RFC 7515 2)."""
    parts = text.split(".") if len(text) <= MAX_CHARACTERS else []
    if len(parts) != 3:
        raise TokenRefused("token_shape")
    header, payload, signature = (_decode_segment(part) for part in parts)
    return header, payload, signature


def _decode_segment(part: str) -> bytes:
    if not _SEGMENT.fullmatch(part):
        raise TokenRefused("token_encoding")
    try:
        decoded = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (binascii.Error, ValueError) as error:
        raise TokenRefused("token_encoding") from error
    if base64.urlsafe_b64encode(decoded).rstrip(b"=").decode("ascii") != part:
        raise TokenRefused("token_encoding")
    return decoded


def _members(document: bytes) -> dict[str, Any]:
    try:
        value = json.loads(document.decode("utf-8"), object_pairs_hook=_distinct, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise TokenRefused("token_json") from error
    if not isinstance(value, dict):
        raise TokenRefused("token_json")
    return value


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("doubled member")
    return members


def _refuse_constant(_name: str) -> None:
    raise ValueError("NaN and Infinity are not JSON")


def _check_signature_numbers(signature: bytes) -> None:
    """Exactly r and s, 32 bytes each, both in 1..n-1 (RFC 7518 3.4)."""
    if len(signature) != 64:
        raise TokenRefused("token_signature")
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
    if not (0 < r < P256_ORDER and 0 < s < P256_ORDER):
        raise TokenRefused("token_signature")


def _check_claims(claims: dict[str, Any], kid: str, issuer: str, now: float) -> TokenClaims | PersonClaims:
    audience = claims.get("aud")
    if claims.get("iss") != issuer or audience not in (issuer, PEOPLE):
        raise TokenRefused("token_audience")
    if set(claims) != (_PERSON_CLAIMS if audience == PEOPLE else _KEY_CLAIMS):
        raise TokenRefused("token_claims")
    subject, tenant_id, jti = (_name(claims[name]) for name in ("sub", "tenant", "jti"))
    issued_at, expires_at = _life(claims, now)
    if audience == PEOPLE:
        return PersonClaims(tenant_id, subject, _role(claims["role"]), jti, kid, issued_at, expires_at)
    if claims["client_id"] != subject:
        raise TokenRefused("token_claims")
    return TokenClaims(tenant_id, subject, _scopes(claims["scope"]), jti, kid, issued_at, expires_at)


def _life(claims: dict[str, Any], now: float) -> tuple[int, int]:
    """When a token was issued and when it ends, which must hold `now` and not be far apart."""
    issued_at, not_before, expires_at = (_moment(claims[name]) for name in ("iat", "nbf", "exp"))
    if now >= expires_at:
        raise TokenRefused("token_expired")
    if max(issued_at, not_before) > now + LEEWAY_S:
        raise TokenRefused("token_from_the_future")
    if not 0 < expires_at - issued_at <= LIFETIME_S:
        raise TokenRefused("token_lifetime")
    return issued_at, expires_at


def _name(value: Any) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise TokenRefused("token_claims")
    return value


def _role(value: Any) -> Role:
    # the type first: Role([]) raises another error, and a subclass of text has no place in what JSON says
    if type(value) is not str or value not in set(Role):
        raise TokenRefused("token_claims")
    return Role(value)


def _moment(value: Any) -> int:
    # type() and not isinstance(): true and 1.0 are not times
    if type(value) is not int or not 0 < value < 2**53:
        raise TokenRefused("token_claims")
    return value


def _scopes(value: Any) -> frozenset[Scope]:
    if not isinstance(value, str):
        raise TokenRefused("token_claims")
    try:
        return frozenset(Scope(part) for part in value.split(" "))
    except ValueError as error:
        raise TokenRefused("token_claims") from error
