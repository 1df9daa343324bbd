"""Whose a key is that somebody found, and an end to it. The whole key is proven, since anybody can make up one with a known id."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from gatehouse.db.audit import Actor
from gatehouse.db.session import Database
from gatehouse.errors import Refused
from gatehouse.identity import key_store
from gatehouse.identity.api_keys import KeyMalformed, key_id_of
from gatehouse.identity.key_store import ApiKey, StoredKey
from gatehouse.identity.keys import NoSuchKey, revoke_key
from gatehouse.identity.peppers import Peppers
from gatehouse.identity.secret_match import matching_secret

Finding = Literal["current", "previous", "ended", "wrong", "unknown_pepper"]
"""The key's secret; the one before, in its grace or after it; another one; or one that cannot be judged here."""


@dataclass(frozen=True, slots=True)
class Identified:
    """A key that was found, and what its secret is worth."""

    key: ApiKey
    secret: Finding


def identify_key(database: Database, text: str, peppers: Peppers) -> Identified:
    """Whose key `text` is. Raises Refused, whose message does not hold it."""
    try:
        key_id = key_id_of(text)
    except (KeyMalformed, UnicodeEncodeError):
        said = "that is no whole key: its shape or checksum is wrong; give it from 'gate_' to its last character"
        raise Refused(said, member="key") from None
    with database.read() as session:
        key = key_store.show_key(session, key_id)
        stored = key_store.find_key(session, key_id)
    if key is None or stored is None:
        raise NoSuchKey(key_id)
    return Identified(key, _finding(text, stored, peppers))


def revoke_leaked_key(database: Database, actor: Actor, text: str, peppers: Peppers) -> ApiKey:
    """Revoke the key that `text` opens. Raises Refused where it opens none, so that nobody's key ends by a made-up leak."""
    found = identify_key(database, text, peppers)
    if found.secret == "ended":  # noqa: S105  (a state, not a secret)
        raise Refused(f"that secret of key {found.key.id} was rotated away and opens nothing any more; nothing was revoked")
    if found.secret not in ("current", "previous"):
        why = "the secret is not this key's" if found.secret == "wrong" else "its pepper is not in the settings"  # noqa: S105
        said = f"{why}, nothing was revoked"
        raise Refused(f"{said}; to revoke key {found.key.id} all the same: gatehouse keys revoke {found.key.id}", fact=said)
    return revoke_key(database, actor, found.key.id)


def _finding(text: str, stored: StoredKey, peppers: Peppers) -> Finding:
    place = matching_secret(text, stored, peppers)
    if place == "previous":
        over = stored.grace_ends_at is None or stored.grace_ends_at <= datetime.now(UTC)
        return "ended" if over else "previous"
    if place is None:
        return "wrong" if stored.pepper_version in peppers else "unknown_pepper"
    return place
