"""Keys of tenants on both databases: shown once, stored as a keyed digest, revoked for good."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import MetaData, select
from sqlmodel import Session

from gatehouse.db.audit import Actor
from gatehouse.db.revision import changes_since
from gatehouse.db.session import Database
from gatehouse.errors import NotKnown, Refused
from gatehouse.identity import keys, tenants
from gatehouse.identity.api_keys import digest, key_id_of
from gatehouse.identity.key_store import find_key
from gatehouse.identity.key_wishes import KeyWish
from gatehouse.identity.keys import NoSuchKey
from gatehouse.identity.peppers import Pepper
from gatehouse.identity.store import find_tenant
from gatehouse.principal import DEFAULT_KEY_SCOPES, TENANT_SCOPES, Rate, Scope

ALICE = Actor("os-user:alice", "cli")
PEPPER = Pepper(b"pepper of the tests, long enough")


def known(_session: Session) -> Mapping[str, frozenset[str]]:
    return {"iris": frozenset({"v1"})}


@pytest.fixture
def acme(database: Database) -> Database:
    tenants.create_tenant(database, ALICE, "acme", known, models=["iris"])
    return database


def dump(database: Database) -> str:
    """Everything that the database holds, bytes in hexadecimal."""
    tables = MetaData()
    tables.reflect(database.engine)
    with database.read() as session:
        rows = [row for table in tables.sorted_tables for row in session.execute(select(table))]
    return "\n".join(value.hex() if isinstance(value, bytes) else str(value) for row in rows for value in row)


def test_row_7_a_dump_holds_no_part_of_a_secret_and_no_plain_digest(acme: Database) -> None:
    made = keys.create_key(acme, ALICE, "acme", PEPPER, KeyWish(name="nightly"))
    keys.revoke_key(acme, ALICE, made.key.id)
    held = dump(acme)
    secret = made.text.rpartition("_")[2]
    assert made.key.id in held
    assert digest(made.text, PEPPER.secret).hex() in held
    assert not [secret[at : at + 8] for at in range(len(secret) - 7) if secret[at : at + 8] in held]
    for plain in (made.text, secret, secret[:-6]):
        assert hashlib.sha256(plain.encode()).hexdigest() not in held


def test_row_10_nothing_that_is_kept_or_printed_of_a_key_shows_it(acme: Database) -> None:
    made = keys.create_key(acme, ALICE, "acme", PEPPER)
    assert made.text not in repr(made)
    assert made.text not in repr(keys.list_keys(acme))
    assert "pepper of" not in repr(PEPPER)


def test_a_key_has_the_usual_scopes_and_no_limits_of_its_own(acme: Database) -> None:
    made = keys.create_key(acme, ALICE, "acme", PEPPER)
    assert key_id_of(made.text) == made.key.id
    assert made.key.scopes == DEFAULT_KEY_SCOPES
    assert (made.key.name, made.key.expires_at, made.key.requests, made.key.rows) == ("default", None, None, None)
    assert keys.list_keys(acme) == keys.list_keys(acme, "acme") == [made.key]


def test_making_and_revoking_are_numbered_and_audited(acme: Database) -> None:
    made = keys.create_key(acme, ALICE, "acme", PEPPER)
    first = keys.revoke_key(acme, ALICE, made.key.id)
    assert first.revoked_at is not None
    assert keys.revoke_key(acme, ALICE, made.key.id) == keys.list_keys(acme)[0] == first
    with acme.read() as session:
        found = [(change.kind, change.id) for change in changes_since(session, 2)]
    assert found == [("key", made.key.id), ("key", made.key.id)]
    assert dump(acme).count("key.revoke") == 1
    assert dump(acme).count("key.create") == 1


def test_row_47_a_tenants_key_never_gets_an_operators_scope(acme: Database) -> None:
    for scope in set(Scope) - TENANT_SCOPES:
        with pytest.raises(Refused, match=f"a key of acme cannot have {scope}: it can have"):
            keys.create_key(acme, ALICE, "acme", PEPPER, KeyWish(scopes={Scope.MODELS_READ, scope}))
    with pytest.raises(Refused, match="one scope or more"):
        keys.create_key(acme, ALICE, "acme", PEPPER, KeyWish(scopes=frozenset()))
    assert keys.list_keys(acme) == []


def test_deployments_own_tenant_comes_with_its_first_key(database: Database) -> None:
    made = keys.create_key(database, ALICE, "_operator", PEPPER)
    assert made.key.scopes == {Scope.ADMIN_READ, Scope.METRICS_READ}
    assert keys.create_key(database, ALICE, "_operator", PEPPER, KeyWish(scopes=frozenset(Scope))).key.scopes == frozenset(Scope)
    with database.read() as session:
        assert find_tenant(session, "_operator") == made.tenant


@pytest.mark.parametrize(
    "wish",
    [
        KeyWish(requests=Rate(6, 1, 1)),
        KeyWish(requests=Rate(5, 1, 21)),
        KeyWish(requests=Rate(301, 60, 1)),
        KeyWish(rows=Rate(1_001, 1, 1)),
        KeyWish(rows=Rate(1, 1, 1_001)),
        KeyWish(rows=Rate(1, 0, 1)),
        KeyWish(expires_at=datetime.now(UTC) - timedelta(seconds=1)),
        KeyWish(name="No Name"),
    ],
)
def test_a_key_has_at_most_what_its_tenant_has(acme: Database, wish: KeyWish) -> None:
    with pytest.raises(Refused):
        keys.create_key(acme, ALICE, "acme", PEPPER, wish)
    assert keys.list_keys(acme) == []


def test_limits_and_expiry_of_a_key_are_stored(acme: Database) -> None:
    soon = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0)
    wish = KeyWish(expires_at=soon, requests=Rate(300, 60, 20), rows=Rate(1_000, 1, 1_000))
    made = keys.create_key(acme, ALICE, "acme", PEPPER, wish)
    assert keys.list_keys(acme) == [made.key]
    assert (made.key.expires_at, made.key.requests, made.key.rows) == (soon, Rate(300, 60, 20), Rate(1_000, 1, 1_000))
    with acme.read() as session:
        stored = find_key(session, made.key.id)
    assert stored is not None
    assert (stored.principal.key_requests, stored.principal.key_rows) == (Rate(300, 60, 20), Rate(1_000, 1, 1_000))


def test_an_unknown_tenant_is_answered_with_the_known_ones_and_an_unknown_key_with_where_they_stand(acme: Database) -> None:
    with pytest.raises(NotKnown, match="no tenant 'acm'; known tenants: acme; did you mean acme"):
        keys.create_key(acme, ALICE, "acm", PEPPER)
    # of a million keys none is read for a mistyped id, and no tenant is told another's
    with pytest.raises(NoSuchKey, match=r"^no key 'nope': gatehouse keys list shows the ids$"):
        keys.revoke_key(acme, ALICE, "nope")
