"""What the request path and the token keys read, on both databases."""

from collections.abc import Mapping

import pytest
from sqlalchemy import event, text
from sqlmodel import Session

from gatehouse.db.audit import Actor
from gatehouse.db.session import Database
from gatehouse.identity import key_store, keys, tenants
from gatehouse.identity.keys import CreatedKey
from gatehouse.identity.peppers import Pepper
from gatehouse.principal import DEFAULT_KEY_SCOPES, Rate, Scope

ALICE = Actor("os-user:alice", "cli")
PEPPER = Pepper(b"pepper of the tests, long enough", version=3)


def known(_session: Session) -> Mapping[str, frozenset[str]]:
    return {"iris": frozenset({"v1"}), "churn": frozenset({"v1", "v2", "v3"}), "pair": frozenset({"v1"})}


@pytest.fixture
def made(database: Database) -> CreatedKey:
    tenants.create_tenant(database, ALICE, "acme", known, models=["iris"])
    tenants.add_grant(database, ALICE, "acme", "churn", known, api_version="v1")
    tenants.add_grant(database, ALICE, "acme", "churn", known, api_version="v3")
    tenants.create_tenant(database, ALICE, "demo", known, models=["pair"], plan="standard")
    keys.create_key(database, ALICE, "demo", PEPPER)
    return keys.create_key(database, ALICE, "acme", PEPPER)


def found(database: Database, key_id: str) -> key_store.StoredKey:
    with database.read() as session:
        stored = key_store.find_key(session, key_id)
    assert stored is not None
    return stored


def test_a_key_is_found_with_everything_that_a_call_is_judged_by(database: Database, made: CreatedKey) -> None:
    stored = found(database, made.key.id)
    assert (stored.pepper_version, stored.expires_at, stored.revoked_at, stored.tenant_suspended) == (3, None, None, False)
    assert len(stored.digest) == 32
    principal = stored.principal
    assert (principal.tenant, principal.tenant_id, principal.key_id) == ("acme", made.tenant.id, made.key.id)
    assert principal.scopes == DEFAULT_KEY_SCOPES
    assert (principal.plan.name, principal.plan.requests, principal.key_requests) == ("trial", Rate(5, 1, 20), None)
    assert principal.default_model == "iris"
    assert principal.grants == {"iris": None, "churn": frozenset({"v1", "v3"})}


def test_one_key_costs_two_queries(database: Database, made: CreatedKey) -> None:
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        if statement.startswith("SELECT"):
            seen.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    found(database, made.key.id)
    assert len(seen) == 2


def test_revoked_and_suspended_are_said_rather_than_hidden(database: Database, made: CreatedKey) -> None:
    keys.revoke_key(database, ALICE, made.key.id)
    tenants.suspend_tenant(database, ALICE, "acme")
    stored = found(database, made.key.id)
    assert stored.tenant_suspended
    assert stored.revoked_at is not None
    assert stored.revoked_at.tzinfo is not None


def test_unknown_key_is_none(database: Database, made: CreatedKey) -> None:
    with database.read() as session:
        assert key_store.find_key(session, made.key.id[:-1]) is None
        assert key_store.find_key(session, "%") is None


def test_row_39_scopes_that_a_tenant_cannot_have_or_nobody_knows_give_nothing(database: Database, made: CreatedKey) -> None:
    with database.write() as session:
        session.execute(text("UPDATE api_key SET scopes = 'admin:write models:read models:train'"))
    assert found(database, made.key.id).principal.scopes == {Scope.MODELS_READ}
    assert keys.list_keys(database, "acme")[0].scopes == {Scope.ADMIN_WRITE, Scope.MODELS_READ}
