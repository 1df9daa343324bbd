"""API keys: `gate_<key id>_<secret><checksum>`, made from the system's random source, stored as a keyed digest."""

import hmac
import secrets
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

PREFIX = "gate_"
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ID_CHARACTERS = 16
SECRET_CHARACTERS = 43
"""ceil(256 / log2(62)): each secret is drawn from more than 2**256 texts."""
CHECKSUM_CHARACTERS = 6
KEY_CHARACTERS = len(PREFIX) + ID_CHARACTERS + 1 + SECRET_CHARACTERS + CHECKSUM_CHARACTERS
_ALPHABET_SET = frozenset(ALPHABET)


class KeyMalformed(ValueError):
    """Shape or checksum is wrong: no such key was ever made."""


@dataclass(frozen=True, slots=True)
class MintedKey:
    """A key at the one moment at which its text exists."""

    id: str
    text: str
    digest: bytes

    def __repr__(self) -> str:
        return f"MintedKey({self.id!r})"


def mint_key(pepper: bytes, choice: Callable[[str], str] = secrets.choice, key_id: str | None = None) -> MintedKey:
    """A new key and its digest under `pepper`; a new secret for `key_id` where that is given."""
    key_id = key_id or random_text(ID_CHARACTERS, choice)
    body = f"{PREFIX}{key_id}_{random_text(SECRET_CHARACTERS, choice)}"
    text = body + checksum(body)
    return MintedKey(key_id, text, digest(text, pepper))


def random_text(characters: int, choice: Callable[[str], str] = secrets.choice) -> str:
    """Base62 text; 5.95 bits a character."""
    return "".join(choice(ALPHABET) for _ in range(characters))


def looks_like_key(text: str) -> bool:
    """Whether a credential is meant as an API key rather than a token."""
    return text.startswith(("gate_", "gatetest_"))


def key_id_of(text: str) -> str:
    """The key id inside a whole key. Raises KeyMalformed; costs no hash and no look-up."""
    if len(text) != KEY_CHARACTERS or not text.startswith(PREFIX):
        raise KeyMalformed("length or prefix")
    key_id, separator = text[len(PREFIX) : len(PREFIX) + ID_CHARACTERS], text[len(PREFIX) + ID_CHARACTERS]
    if separator != "_" or not _ALPHABET_SET.issuperset(key_id + text[len(PREFIX) + ID_CHARACTERS + 1 :]):
        raise KeyMalformed("alphabet")
    if checksum(text[:-CHECKSUM_CHARACTERS]) != text[-CHECKSUM_CHARACTERS:]:
        raise KeyMalformed("checksum")
    return key_id


def checksum(body: str) -> str:
    """CRC-32 of everything before it as 6 base62 digits: scanners find leaks, typing errors cost no look-up."""
    number = zlib.crc32(body.encode("ascii"))
    digits = ""
    for _ in range(CHECKSUM_CHARACTERS):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits


def digest(text: str, pepper: bytes) -> bytes:
    """What is stored: HMAC-SHA256 of the whole key under a pepper that the database does not hold."""
    return hmac.new(pepper, text.encode("utf-8"), sha256).digest()


def same_digest(left: bytes, right: bytes) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(left, right)
