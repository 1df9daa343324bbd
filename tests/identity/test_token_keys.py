"""Token keys: one pair for all processes, and a database that is worth nothing alone."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import text

from gatehouse.db.session import Database
from gatehouse.identity.store import add_token_key, list_token_keys
from gatehouse.identity.token_keys import TokenKeyUnreadable, load_token_keys
from gatehouse.identity.tokens import TokenIssuer, TokenVerifier
from gatehouse.principal import Scope

SECRET = b"the secret of this deployment, 32 bytes"


def test_processes_that_start_together_on_a_new_database_share_one_pair(database: Database) -> None:
    together = threading.Barrier(6)

    def start(_: int) -> tuple[str, frozenset[str]]:
        together.wait(20)
        signing, public = load_token_keys(database, SECRET)
        return signing.kid, frozenset(public)

    with ThreadPoolExecutor(6) as pool:
        found = set(pool.map(start, range(6)))
    assert len(found) == 1
    (kid, public) = found.pop()
    assert public == {kid}


def test_every_start_finds_the_same_pair_and_a_token_of_one_is_good_for_all(database: Database) -> None:
    signing, _ = load_token_keys(database, SECRET)
    again, public = load_token_keys(database, SECRET)
    assert again == signing
    token = TokenIssuer("https://gatehouse.test", signing).issue(
        tenant_id="ten_1", key_id="key1", scopes=frozenset({Scope.MODELS_READ}), jti="j", now=1000, expires_at=1900
    )
    assert TokenVerifier("https://gatehouse.test", public).verify(token, 1000).key_id == "key1"


def test_the_pair_is_on_p_256_and_fits_together(sqlite_database: Database) -> None:
    signing, public = load_token_keys(sqlite_database, SECRET)
    private = serialization.load_pem_private_key(signing.private_pem.encode(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert private.curve.name == "secp256r1"
    made = private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert public == {signing.kid: made.decode()}
    assert "PRIVATE" not in made.decode()


def test_the_database_holds_the_private_half_sealed_only(database: Database) -> None:
    signing, _ = load_token_keys(database, SECRET)
    private = serialization.load_pem_private_key(signing.private_pem.encode(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    number = private.private_numbers().private_value.to_bytes(32)
    with database.read() as session:
        rows = session.execute(text("SELECT * FROM token_key")).all()
    (row,) = rows
    held = b"|".join(bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode() for value in row)
    assert number not in held
    assert b"PRIVATE" not in held
    assert signing.kid.encode() in held
    assert signing.private_pem not in repr(signing)


def test_another_secret_opens_nothing_and_says_what_to_set(database: Database) -> None:
    load_token_keys(database, SECRET)
    with pytest.raises(TokenKeyUnreadable, match="GATEHOUSE_SECRET_KEY"):
        load_token_keys(database, SECRET + b"x")
    with pytest.raises(TokenKeyUnreadable):
        load_token_keys(database, b"")


def test_a_sealed_half_that_was_changed_or_moved_to_another_kid_opens_no_more(sqlite_database: Database) -> None:
    load_token_keys(sqlite_database, SECRET)
    with sqlite_database.read() as session:
        (stored,) = list_token_keys(session)
    sealed = stored.private_sealed
    for name, changed in {"f" * 16: sealed, "e" * 16: sealed[:-1] + bytes([sealed[-1] ^ 1]), "d" * 16: sealed[:20]}.items():
        with sqlite_database.write() as session:
            add_token_key(session, name, stored.public_pem, changed)
        with pytest.raises(TokenKeyUnreadable):
            load_token_keys(sqlite_database, SECRET)


def test_the_newest_key_signs_and_older_ones_still_prove(sqlite_database: Database) -> None:
    old, _ = load_token_keys(sqlite_database, SECRET)
    with sqlite_database.write() as session:
        (stored,) = list_token_keys(session)
        session.execute(text("DELETE FROM token_key"))
    new, _ = load_token_keys(sqlite_database, SECRET)
    with sqlite_database.write() as session:
        add_token_key(session, old.kid, stored.public_pem, stored.private_sealed)
        session.execute(text("UPDATE token_key SET created_at = '2020-01-01 00:00:00.000000' WHERE kid = :kid"), {"kid": old.kid})
    signing, public = load_token_keys(sqlite_database, SECRET)
    assert signing == new
    assert set(public) == {old.kid, new.kid}
