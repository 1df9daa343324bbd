"""Token keys: ES256 pairs that sign access tokens, shared by all processes through the database.

A new key is published at once and signs LEAD later, when every process knows it; the one before then verifies until its
last token has ended. All of this follows from the rows and the time, so nothing needs to run for it.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlmodel import Session

from gatehouse.db.audit import Actor, record_audit
from gatehouse.db.revision import hold_revision, record_change
from gatehouse.db.session import Database
from gatehouse.errors import NotKnown, Refused
from gatehouse.identity.sealing import Seal, TokenKeyUnreadable
from gatehouse.identity.token_store import (
    TokenKey,
    add_token_key,
    list_token_keys,
    remove_revoked_tokens,
    retire_token_key,
    seal_token_key,
)
from gatehouse.identity.tokens import LIFETIME_S

STARTED = Actor("gatehouse", "start")
"""Who makes the first key."""
LEAD = timedelta(seconds=10)
"""From publishing to signing: many polls of the changes, and more than the clocks of two machines may differ."""
CLOCKS_APART = timedelta(seconds=60)
"""How much longer than its last token a key verifies, for a machine whose clock is behind."""
State = Literal["signs", "next", "verifies", "retired"]


@dataclass(frozen=True, slots=True)
class KeyLife:
    """A token key and what it does: it signs from `signs_from` to `signs_until`, and verifies until `ends_at`; None is open."""

    key: TokenKey
    signs_until: datetime | None
    ends_at: datetime | None

    def state(self, now: datetime) -> State:
        if self.ends_at is not None and self.ends_at <= now:
            return "retired"
        if self.key.signs_from > now:
            return "next"
        return "signs" if self.signs_until is None or self.signs_until > now else "verifies"


def lives_of(keys: Sequence[TokenKey]) -> list[KeyLife]:
    """What each key does; `keys` are all there are, in the order in which they sign."""
    lives: list[KeyLife] = []
    follower: TokenKey | None = None
    for key in reversed(keys):
        signs_until = follower.signs_from if follower else None
        last_token = signs_until + timedelta(seconds=LIFETIME_S) + CLOCKS_APART if signs_until else None
        ends_at = min((moment for moment in (key.retired_at, last_token) if moment), default=None)
        lives.append(KeyLife(key, signs_until, ends_at))
        if key.retired_at is None or key.retired_at > key.signs_from:  # else it was called off before it signed
            follower = key
    return lives[::-1]


def signing_life(lives: Sequence[KeyLife], now: datetime) -> KeyLife | None:
    """The key that signs now; where clocks differ so much that none does, the next."""
    usable = [life for life in lives if life.key.retired_at is None]
    return next((life for life in reversed(usable) if life.key.signs_from <= now), usable[0] if usable else None)


def load_token_keys(database: Database, seal: Seal) -> list[TokenKey]:
    """All token keys; on a new database the first call makes one. What has ended is tidied away on the way.

    Raises TokenKeyUnreadable, sqlalchemy.exc.OperationalError.
    """
    now = datetime.now(UTC)
    with database.write() as session:
        hold_revision(session)  # processes that start together on a new database must end with the same key
        if not list_token_keys(session):
            first = _new_key(seal, now, now)
            add_token_key(session, first)
            record_audit(session, STARTED, "token_key.create", first.kid, after={"signs_from": first.signs_from.isoformat()})
        _tidy(session, now)
        keys = list_token_keys(session)
    signing = signing_life(lives_of(keys), now)
    if signing is not None:
        seal.open(signing.key.kid, signing.key.private_sealed)
    return keys


def read_token_keys(database: Database) -> list[TokenKey]:
    """All token keys in the order in which they sign."""
    with database.read() as session:
        return list_token_keys(session)


def rotate_token_key(database: Database, actor: Actor, seal: Seal, now: datetime, lead: timedelta = LEAD) -> TokenKey:
    """Publish a new key that signs after `lead`; at once where none can sign before. Raises Refused while another waits to sign."""
    with database.write() as session:
        hold_revision(session)
        lives = lives_of(list_token_keys(session))
        for life in lives:
            if life.state(now) == "next":
                raise Refused(
                    f"token key {life.key.kid} has been published and signs from {life.key.signs_from:%H:%M:%S} UTC on: wait until then"
                )
        signing = signing_life(lives, now)
        key = _new_key(seal, now, now + lead if signing and _readable(seal, signing.key) else now)
        add_token_key(session, key)
        _tidy(session, now)
        record_change(session, "token_key", key.kid)
        record_audit(session, actor, "token_key.rotate", key.kid, after={"signs_from": key.signs_from.isoformat()})
    return key


def retire_key_now(database: Database, actor: Actor, kid: str, now: datetime) -> None:
    """Verify nothing by this key any more: its tokens stop. Raises NotKnown, and Refused for the one that signs or is retired."""
    with database.write() as session:
        hold_revision(session)
        lives = {life.key.kid: life for life in lives_of(list_token_keys(session))}
        if kid not in lives:
            raise NotKnown("token key", kid, list(lives))
        state = lives[kid].state(now)
        if state == "signs":
            remedy = "and retire it when the new one has taken over"
            raise Refused(
                f"token key {kid} signs: gatehouse token-keys rotate, {remedy}", fact=f"token key {kid} signs: rotate first, {remedy}"
            )
        if state == "retired":
            raise Refused(f"token key {kid} is retired already")
        retire_token_key(session, kid, now)
        record_change(session, "token_key", kid)
        record_audit(session, actor, "token_key.retire", kid, before={"state": state}, after={"state": "retired"})


def reseal_token_keys(database: Database, actor: Actor, seal: Seal) -> list[str]:
    """Seal all private halves under the current secret; returns the keys that were not. Raises TokenKeyUnreadable, nothing changed."""
    with database.write() as session:
        hold_revision(session)
        held = [key for key in list_token_keys(session) if key.private_sealed]
        changed = [key for key in held if not seal.is_current(key.kid, key.private_sealed)]
        for key in changed:
            seal_token_key(session, key.kid, seal.close(key.kid, seal.open(key.kid, key.private_sealed)))
            record_change(session, "token_key", key.kid)
            record_audit(session, actor, "token_key.reseal", key.kid)
    return [key.kid for key in changed]


def _tidy(session: Session, now: datetime) -> None:
    remove_revoked_tokens(session, now - CLOCKS_APART)
    for life in lives_of(list_token_keys(session)):
        if life.state(now) == "retired" and life.key.private_sealed:
            retire_token_key(session, life.key.kid, life.ends_at or now)


def _new_key(seal: Seal, now: datetime, signs_from: datetime) -> TokenKey:
    private = ec.generate_private_key(ec.SECP256R1())
    kid = secrets.token_hex(8)
    pem = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return TokenKey(kid, public.decode("ascii"), seal.close(kid, pem.decode("ascii")), now, signs_from)


def _readable(seal: Seal, key: TokenKey) -> bool:
    try:
        return bool(seal.open(key.kid, key.private_sealed))
    except TokenKeyUnreadable:
        return False
