"""One-time codes: with one of them somebody sets a password. Shown once, stored as a keyed digest, worth nothing after a day."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from gatehouse.identity import api_keys
from gatehouse.identity.peppers import Pepper, Peppers
from gatehouse.identity.person_store import StoredCode

PREFIX = "once_"
CHARACTERS = 32
"""190 random bits."""
LONGEST = 64
"""Characters of what is looked up at all."""
LASTS = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class MintedCode:
    """A code at the one moment at which its text exists."""

    text: str
    stored: StoredCode

    def __repr__(self) -> str:
        return f"MintedCode({self.stored.expires_at!r})"


def mint_code(pepper: Pepper, now: datetime) -> MintedCode:
    """A new code and its digest under `pepper`."""
    text = PREFIX + api_keys.random_text(CHARACTERS)
    return MintedCode(text, StoredCode(api_keys.digest(text, pepper.secret), pepper.version, now + LASTS))


def digests_of(text: str, peppers: Peppers) -> Mapping[int, bytes]:
    """What may be stored of a code, by the version of the pepper; nothing for a text that cannot be one."""
    if len(text) > LONGEST or not text.startswith(PREFIX):
        return {}
    return {version: api_keys.digest(text, peppers.secret_of(version)) for version in peppers.versions}
