"""Token keys: one for all processes, a life that follows from rows and time, and a database that is worth nothing alone."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from forge import new_pair
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from stage import ACTOR

from gatehouse.db.audit_trail import AuditFilter, detail_of, stream_entries
from gatehouse.db.revision import changes_since
from gatehouse.db.session import Database
from gatehouse.errors import NotKnown, Refused
from gatehouse.identity.keyring import TokenKeyring
from gatehouse.identity.revocation import is_revoked, revoke_token
from gatehouse.identity.sealing import Seal, TokenKeyUnreadable
from gatehouse.identity.token_keys import (
    CLOCKS_APART,
    LEAD,
    lives_of,
    load_token_keys,
    read_token_keys,
    reseal_token_keys,
    retire_key_now,
    rotate_token_key,
    signing_life,
)
from gatehouse.identity.token_store import TokenKey, add_token_key, list_token_keys
from gatehouse.identity.tokens import LIFETIME_S, TokenClaims, TokenRefused
from gatehouse.principal import Scope

SECRET = b"the secret of this deployment, 32 bytes"
NEW_SECRET = b"another secret of this deployment, 32 b"
ISSUER = "https://gatehouse.test"
SEAL = Seal(SECRET)
START = datetime(2026, 1, 1, tzinfo=UTC)
S = timedelta(seconds=1)
LIFETIME = timedelta(seconds=LIFETIME_S)


def ring(database: Database, seal: Seal = SEAL) -> TokenKeyring:
    return TokenKeyring(lambda: read_token_keys(database), seal, ISSUER, load_token_keys(database, seal))


def issued(ring: TokenKeyring, at: datetime) -> str:
    now = int(at.timestamp())
    wish = {"tenant_id": "ten_1", "key_id": "key1", "scopes": frozenset({Scope.MODELS_READ})}
    return ring.signer(at.timestamp()).issue(**wish, jti="j", now=now, expires_at=now + LIFETIME_S)


def kids(ring: TokenKeyring, at: datetime) -> list[str]:
    return [key["kid"] for key in ring.public_keys(at.timestamp())]


def key_of(kid: str, signs_from: datetime, retired_at: datetime | None = None) -> TokenKey:
    return TokenKey(kid, "", b"sealed", signs_from, signs_from, retired_at)


def test_processes_that_start_together_on_a_new_database_share_one_key(database: Database) -> None:
    together = threading.Barrier(6)

    def start(_: int) -> tuple[str, ...]:
        together.wait(20)
        return tuple(key.kid for key in load_token_keys(database, SEAL))

    with ThreadPoolExecutor(6) as pool:
        found = set(pool.map(start, range(6)))
    assert [len(each) for each in found] == [1]


def test_a_token_of_one_process_is_good_for_all(database: Database) -> None:
    now = datetime.now(UTC)
    token = issued(ring(database), now)
    assert ring(database).verify(token, now.timestamp()).key_id == "key1"


def test_the_pair_is_on_p_256_and_fits_together(sqlite_database: Database) -> None:
    (key,) = load_token_keys(sqlite_database, SEAL)
    private = serialization.load_pem_private_key(SEAL.open(key.kid, key.private_sealed).encode(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert private.curve.name == "secp256r1"
    made = private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert key.public_pem == made.decode()
    assert "PRIVATE" not in made.decode()


def test_the_database_holds_the_private_half_sealed_only(database: Database) -> None:
    (key,) = load_token_keys(database, SEAL)
    private = serialization.load_pem_private_key(SEAL.open(key.kid, key.private_sealed).encode(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    number = private.private_numbers().private_value.to_bytes(32)
    with database.read() as session:
        (row,) = session.execute(text("SELECT * FROM token_key")).all()
    held = b"|".join(bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode() for value in row)
    assert number not in held
    assert b"PRIVATE" not in held
    assert key.kid.encode() in held


def test_another_secret_opens_nothing_and_says_what_to_set(database: Database) -> None:
    load_token_keys(database, SEAL)
    for other in (Seal(SECRET + b"x"), Seal(b""), Seal(NEW_SECRET, SECRET + b"x")):
        with pytest.raises(TokenKeyUnreadable, match="GATEHOUSE_SECRET_KEY_BEFORE"):
            load_token_keys(database, other)


def test_a_sealed_half_that_was_changed_or_moved_to_another_kid_opens_no_more() -> None:
    sealed = SEAL.close("kid1", "PEM")
    assert SEAL.open("kid1", sealed) == "PEM"
    for kid, changed in (("kid2", sealed), ("kid1", sealed[:-1] + bytes([sealed[-1] ^ 1])), ("kid1", sealed[:20]), ("kid1", b"")):
        with pytest.raises(TokenKeyUnreadable):
            SEAL.open(kid, changed)


def test_row_38_a_new_key_is_published_before_it_signs_and_the_old_one_until_its_last_token_has_ended(database: Database) -> None:
    (old,) = load_token_keys(database, SEAL)
    now = old.signs_from + timedelta(days=1)
    one, other = ring(database), ring(database)
    new = rotate_token_key(database, ACTOR, SEAL, now)
    assert new.signs_from == now + LEAD
    for each in (one, other):
        each.outdate()
    assert kids(one, now) == [old.kid, new.kid]
    last = issued(one, new.signs_from - S)
    first = issued(other, new.signs_from)
    assert other.verify(last, (new.signs_from - S).timestamp()).kid == old.kid
    assert one.verify(first, new.signs_from.timestamp()).kid == new.kid
    assert one.verify(last, (new.signs_from + LIFETIME - 2 * S).timestamp()).kid == old.kid
    ends_at = new.signs_from + LIFETIME + CLOCKS_APART
    assert kids(one, ends_at - S) == [old.kid, new.kid]
    assert kids(one, ends_at) == [new.kid]


def test_row_38_a_retired_key_proves_nothing_whatever_the_token_says_of_its_time(sqlite_database: Database) -> None:
    """As somebody who has stolen the old private half would sign."""
    (old,) = load_token_keys(sqlite_database, SEAL)
    stolen = ring(sqlite_database)
    ends_at = rotate_token_key(sqlite_database, ACTOR, SEAL, datetime.now(UTC)).signs_from + LIFETIME + CLOCKS_APART
    own = ring(sqlite_database)
    fresh = issued(stolen, ends_at - S)
    assert own.verify(fresh, (ends_at - S).timestamp()).kid == old.kid
    with pytest.raises(TokenRefused, match="token_kid"):
        own.verify(fresh, ends_at.timestamp())


def test_a_key_is_retired_by_itself_and_its_private_half_is_forgotten(sqlite_database: Database) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=1)
    (old,) = load_token_keys(sqlite_database, SEAL)
    with sqlite_database.write() as session:
        session.execute(text("UPDATE token_key SET created_at = :at, signs_from = :at"), {"at": f"{long_ago:%Y-%m-%d %H:%M:%S.%f}"})
    new = rotate_token_key(sqlite_database, ACTOR, SEAL, long_ago + 60 * S)
    kept, signing = load_token_keys(sqlite_database, SEAL)
    assert (kept.kid, kept.private_sealed) == (old.kid, b"")
    assert kept.retired_at == new.signs_from + LIFETIME + CLOCKS_APART
    assert (signing.kid, signing.retired_at) == (new.kid, None)
    SEAL.open(signing.kid, signing.private_sealed)


def test_a_second_rotation_waits_for_the_first_to_take_over(sqlite_database: Database) -> None:
    load_token_keys(sqlite_database, SEAL)
    now = datetime.now(UTC)
    first = rotate_token_key(sqlite_database, ACTOR, SEAL, now)
    with pytest.raises(Refused, match=f"token key {first.kid} has been published and signs from .* UTC on: wait until then"):
        rotate_token_key(sqlite_database, ACTOR, SEAL, now + LEAD - S)
    assert rotate_token_key(sqlite_database, ACTOR, SEAL, now + LEAD).signs_from == now + 2 * LEAD


def test_a_key_can_be_retired_unless_it_signs(database: Database) -> None:
    (old,) = load_token_keys(database, SEAL)
    now = datetime.now(UTC)
    for kid, error, said in ((old.kid, Refused, "signs: gatehouse token-keys rotate"), ("none", NotKnown, "no token key 'none'")):
        with pytest.raises(error, match=said):
            retire_key_now(database, ACTOR, kid, now)
    new = rotate_token_key(database, ACTOR, SEAL, now)
    token = issued(ring(database), now)
    later = now + LEAD
    retire_key_now(database, ACTOR, old.kid, later)
    after = ring(database)
    assert kids(after, later) == [new.kid]
    with pytest.raises(TokenRefused, match="token_kid"):
        after.verify(token, later.timestamp())
    with pytest.raises(Refused, match="is retired already"):
        retire_key_now(database, ACTOR, old.kid, later)
    with database.read() as session:
        assert [(change.kind, change.id) for change in changes_since(session, 0)] == [("token_key", new.kid), ("token_key", old.kid)]
        assert all(key.private_sealed == b"" for key in list_token_keys(session) if key.kid == old.kid)


def test_a_key_that_waits_to_sign_can_be_called_off_and_the_old_one_goes_on(sqlite_database: Database) -> None:
    (old,) = load_token_keys(sqlite_database, SEAL)
    now = datetime.now(UTC)
    new = rotate_token_key(sqlite_database, ACTOR, SEAL, now)
    retire_key_now(sqlite_database, ACTOR, new.kid, now + S)
    after = ring(sqlite_database)
    for later in (now + S, now + LEAD, now + timedelta(days=2)):
        assert kids(after, later) == [old.kid]
        assert after.verify(issued(after, later), later.timestamp()).kid == old.kid


def test_keys_are_read_again_once_after_they_are_outdated(sqlite_database: Database) -> None:
    keys = load_token_keys(sqlite_database, SEAL)
    read: list[int] = []

    def reading() -> list[TokenKey]:
        read.append(1)
        return read_token_keys(sqlite_database)

    own = TokenKeyring(reading, SEAL, ISSUER, keys)
    now = datetime.now(UTC)
    kids(own, now)
    new = rotate_token_key(sqlite_database, ACTOR, SEAL, now)
    assert (len(kids(own, now)), len(read)) == (1, 0)
    own.outdate()
    assert new.kid in kids(own, now)
    kids(own, now)
    assert len(read) == 1


def test_a_change_that_comes_while_keys_are_read_has_them_read_again(sqlite_database: Database) -> None:
    keys = load_token_keys(sqlite_database, SEAL)
    read: list[int] = []

    def reading() -> list[TokenKey]:
        found = read_token_keys(sqlite_database)
        read.append(1)
        if len(read) == 1:
            rotate_token_key(sqlite_database, ACTOR, SEAL, datetime.now(UTC))
            own.outdate()
        return found

    own = TokenKeyring(reading, SEAL, ISSUER, keys)
    own.outdate()
    own.public_keys(datetime.now(UTC).timestamp())
    assert len(own.public_keys(datetime.now(UTC).timestamp())) == 2


def test_row_106_keys_are_sealed_anew_under_a_new_secret_while_both_are_known(database: Database) -> None:
    (key,) = load_token_keys(database, SEAL)
    both = Seal(NEW_SECRET, SECRET)
    before = ring(database)
    token = issued(ring(database, both), datetime.now(UTC))
    assert before.verify(token, datetime.now(UTC).timestamp()).kid == key.kid
    assert reseal_token_keys(database, ACTOR, both) == [key.kid]
    assert reseal_token_keys(database, ACTOR, both) == []
    after = ring(database, Seal(NEW_SECRET))
    assert after.verify(token, datetime.now(UTC).timestamp()).kid == key.kid
    assert before.verify(issued(after, datetime.now(UTC)), datetime.now(UTC).timestamp()).kid == key.kid
    with pytest.raises(TokenKeyUnreadable):
        load_token_keys(database, SEAL)


def test_row_106_nothing_is_sealed_anew_when_one_key_cannot_be_opened(sqlite_database: Database) -> None:
    (key,) = load_token_keys(sqlite_database, SEAL)
    _, public = new_pair()
    now = datetime.now(UTC)
    with sqlite_database.write() as session:
        add_token_key(session, TokenKey("foreign", public, Seal(b"foreign").close("foreign", "PEM"), now, now + timedelta(days=1)))
    with pytest.raises(TokenKeyUnreadable):
        reseal_token_keys(sqlite_database, ACTOR, Seal(NEW_SECRET, SECRET))
    assert read_token_keys(sqlite_database)[0] == key


def test_row_106_a_lost_secret_is_left_behind_by_a_rotation_under_a_new_one(sqlite_database: Database) -> None:
    (old,) = load_token_keys(sqlite_database, SEAL)
    token = issued(ring(sqlite_database), datetime.now(UTC))
    fresh = Seal(NEW_SECRET)
    new = rotate_token_key(sqlite_database, ACTOR, fresh, datetime.now(UTC))
    after = ring(sqlite_database, fresh)
    assert after.signer(datetime.now(UTC).timestamp()).kid == new.kid
    assert after.verify(token, datetime.now(UTC).timestamp()).kid == old.kid, "the public half needs no secret"


@settings(max_examples=200)
@given(st.lists(st.integers(0, 2000), min_size=1, max_size=5), st.integers(-100, 6000), st.integers(-60, 60), st.integers(0, 900))
def test_row_38_whatever_is_signed_is_proven_until_it_ends_on_clocks_a_minute_apart(
    starts: list[int], at: int, apart: int, age: int
) -> None:
    keys = [key_of(f"k{n}", START + start * S) for n, start in enumerate(sorted(starts))]
    lives = lives_of(keys)
    signing = signing_life(lives, START + at * S)
    assert signing is not None
    there = START + (at + max(0, min(age, LIFETIME_S - 1)) + apart) * S
    assert signing.state(there) != "retired"
    assert [life.state(there) for life in lives].count("signs") <= 1


def test_a_key_that_is_retired_does_not_sign_even_for_a_clock_that_is_behind() -> None:
    old, new = key_of("old", START, START + 11 * S), key_of("new", START + 10 * S)
    lives = lives_of([old, new])
    signing = signing_life(lives, START + 5 * S)
    assert signing is not None
    assert signing.key == new
    assert lives[0].state(START + 11 * S) == "retired"
    assert signing_life(lives_of([replace(old, retired_at=START)]), START) is None


def test_a_revoked_token_is_kept_until_no_clock_takes_it_for_valid(database: Database) -> None:
    now = datetime.now(UTC).timestamp()

    def claims(jti: str, expires_at: float) -> TokenClaims:
        return TokenClaims("ten_1", "key1", frozenset(), jti, "kid", int(expires_at) - 900, int(expires_at))

    for _ in range(2):
        revoke_token(database, claims("first", now + 60), now, ACTOR)
    assert (is_revoked(database, "first"), is_revoked(database, "second")) == (True, False)
    revoke_token(database, claims("second", now + 900), now + 60 + CLOCKS_APART.total_seconds() - 2, ACTOR)
    assert is_revoked(database, "first")
    revoke_token(database, claims("third", now + 900), now + 60 + CLOCKS_APART.total_seconds() + 2, ACTOR)
    assert [is_revoked(database, jti) for jti in ("first", "second", "third")] == [False, True, True]
    with database.read() as session:
        assert [(change.kind, change.id) for change in changes_since(session, 0)] == [
            ("token", jti) for jti in ("first", "second", "third")
        ]
        rows = [(row.action, row.subject, detail_of(row)) for row in stream_entries(session, AuditFilter())]
    assert rows == [("token.revoke", jti, {"holder": "key1"}) for jti in ("first", "second", "third")]


def test_an_ended_revocation_is_forgotten_at_the_next_start(sqlite_database: Database) -> None:
    ended = TokenClaims("ten_1", "key1", frozenset(), "ended", "kid", 1000, 1900)
    revoke_token(sqlite_database, ended, 1000, ACTOR)
    assert is_revoked(sqlite_database, "ended")
    load_token_keys(sqlite_database, SEAL)
    assert not is_revoked(sqlite_database, "ended")
