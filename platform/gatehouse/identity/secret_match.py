"""Which of a key's two secrets a text is, found in the same steps whatever the answer."""

from typing import Literal

from gatehouse.identity import api_keys
from gatehouse.identity.key_store import Redigest, StoredKey, StoredSecret, StoredSecrets
from gatehouse.identity.peppers import Peppers

Place = Literal["current", "previous"]
_EMPTY = bytes(32)


def matching_secret(text: str, stored: StoredSecrets | StoredKey | None, peppers: Peppers) -> Place | None:
    """`current`, `previous` (whether or not its grace has ended), or None; `text` is a whole, well-formed key.

    Always one HMAC and one compare for each of the two places where a secret may stand: an unknown id, a wrong secret,
    a key under rotation and one under an older pepper take the same steps.
    """
    is_current = _fits(text, StoredSecret(stored.digest, stored.pepper_version) if stored else None, peppers)
    is_previous = _fits(text, stored.previous if stored else None, peppers)
    if is_current:
        return "current"
    return "previous" if is_previous else None


def renewal(text: str, stored: StoredKey, place: Place, peppers: Peppers) -> Redigest | None:
    """How a proven secret moves to the current pepper; None when it is there, or under a newer one."""
    before = stored.previous if place == "previous" else StoredSecret(stored.digest, stored.pepper_version)
    current = peppers.current
    if before is None or before.pepper_version >= current.version:  # two processes of different settings never move it to and fro
        return None
    return Redigest(stored.principal.key_id, before, StoredSecret(api_keys.digest(text, current.secret), current.version))


def _fits(text: str, secret: StoredSecret | None, peppers: Peppers) -> bool:
    version = secret.pepper_version if secret else peppers.current.version
    same = api_keys.same_digest(api_keys.digest(text, peppers.secret_of(version)), secret.digest if secret else _EMPTY)
    return same and secret is not None and version in peppers
