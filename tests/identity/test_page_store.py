"""Pages of tenants, keys and grants by SQL, and what files are made of: the same on each database."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest
from sqlmodel import Session
from stage import ACTOR

from gatehouse.db.revision import changes_since, last_revision
from gatehouse.db.session import Database
from gatehouse.identity.import_lines import ImportRefused
from gatehouse.identity.key_import import import_keys
from gatehouse.identity.keys import list_keys, revoke_key, rotate_key, show_key
from gatehouse.identity.page_store import (
    GrantFilter,
    KeyFilter,
    TenantFilter,
    grants_of_tenants,
    page_of_grants,
    page_of_keys,
    page_of_plans,
    page_of_tenants,
    stored_version,
)
from gatehouse.identity.peppers import Pepper
from gatehouse.identity.tenant_import import import_tenants
from gatehouse.identity.tenants import add_grant, list_grants, list_tenants, suspend_tenant

PEPPER = Pepper(b"p" * 32, 3)
NAMES = ("a-b", "a_b", "ab", "axb", "b", "b-1", "z")
Item = TypeVar("Item")
Place = TypeVar("Place")


def known(_session: Session) -> dict[str, frozenset[str]]:
    return {"iris": frozenset({"v1", "v2"}), "line": frozenset({"v1"})}


def untold(_step: str) -> None: ...


@pytest.fixture
def filled(database: Database) -> Database:
    """Tenants with grants and two keys each, by files."""
    lines = "".join(f"{name},{'trial' if name < 'b' else 'standard'},{'iris' if name == 'z' else 'iris line'}\n" for name in NAMES)
    import_tenants(database, ACTOR, f"name,plan,models\n{lines}".encode(), known, untold)
    for name in ("first", "second"):
        import_keys(database, ACTOR, ("tenant,name\n" + "".join(f"{tenant},{name}\n" for tenant in NAMES)).encode(), PEPPER, untold)
    return database


def walked(database: Database, read: Callable[[Session, Place | None], list[Item]], place: Callable[[Item], Place]) -> list[Item]:
    """All items, three at a time."""
    found: list[Item] = []
    with database.read() as session:
        while page := read(session, place(found[-1]) if found else None):
            found += page
    return found


def test_every_item_comes_once_and_in_order(filled: Database) -> None:
    tenants = walked(filled, lambda session, after: page_of_tenants(session, TenantFilter(), after, 3), lambda tenant: tenant.name)
    assert tenants == list_tenants(filled)
    assert {tenant.name for tenant in tenants} == set(NAMES)
    plans = walked(filled, lambda session, after: page_of_plans(session, after, 1), lambda plan: plan.name)
    assert [plan.name for plan in plans] == ["standard", "trial"]
    grants = walked(
        filled,
        lambda session, after: page_of_grants(session, GrantFilter(), after, 3),
        lambda item: (item[1].tenant, item[1].model, stored_version(item[1])),
    )
    assert [grant for _, grant in grants] == list_grants(filled)
    keys = walked(filled, lambda session, after: page_of_keys(session, KeyFilter(), after, 3), lambda key: (key.created_at, key.id))
    assert sorted(key.id for key in keys) == sorted(key.id for key in list_keys(filled))
    assert keys == sorted(sorted(keys, key=lambda key: key.id), key=lambda key: key.created_at, reverse=True)
    assert keys[0].created_at == keys[len(NAMES) - 1].created_at, "a file's keys are of one moment, and none is lost between pages"


def test_each_filter_narrows(filled: Database) -> None:
    suspend_tenant(filled, ACTOR, "z")
    add_grant(filled, ACTOR, "z", "line", known, api_version="v1")
    (first, *_others) = list_keys(filled, "ab")
    revoke_key(filled, ACTOR, first.id)
    rotate_key(filled, ACTOR, list_keys(filled, "b")[0].id, Pepper(b"q" * 32, 4), timedelta(hours=1))
    with filled.read() as session:

        def tenants(**narrowed: object) -> list[str]:
            return [tenant.name for tenant in page_of_tenants(session, TenantFilter(**narrowed), None, 99)]  # type: ignore[arg-type]

        def keys(**narrowed: object) -> list[str]:
            return sorted(key.tenant for key in page_of_keys(session, KeyFilter(**narrowed), None, 99))  # type: ignore[arg-type]

        assert tenants(name_prefix="a_") == ["a_b"]
        assert (tenants(suspended=True), len(tenants(suspended=False))) == (["z"], len(NAMES) - 1)
        assert tenants(plan="standard", name_prefix="b") == ["b", "b-1"]
        assert len(tenants(model="line")) == len(NAMES)
        assert tenants(model="none") == []
        assert keys(revoked=True) == ["ab"]
        assert keys(tenant="b", revoked=False) == keys(tenant=first_id(session, "b")) == ["b", "b"]
        assert keys(pepper=4) == ["b"]
        assert keys(pepper=3, tenant="b") == ["b", "b"], "also the one whose secret before still works"
        assert keys(expires_before=datetime(2090, 1, 1, tzinfo=UTC)) == []
        found = page_of_grants(session, GrantFilter(tenant="z"), None, 9)
        assert [(grant.model, grant.api_version) for _, grant in found] == [("iris", None), ("line", "v1")]
        assert {grant.tenant for _, grant in page_of_grants(session, GrantFilter(model="line"), None, 99)} == set(NAMES)
        shown = page_of_tenants(session, TenantFilter(name_prefix="z"), None, 9)
        assert [grant.model for grant in grants_of_tenants(session, shown)[shown[0].id]] == ["iris", "line"]


def first_id(session: Session, name: str) -> str:
    return page_of_tenants(session, TenantFilter(name_prefix=name), None, 1)[0].id


def test_a_file_is_numbered_and_makes_keys_that_stand_as_single_ones_do(filled: Database) -> None:
    with filled.read() as session:
        before = last_revision(session)
    source = b"tenant,name,scopes,expires_at,networks\nab,bound,models:read,2090-06-30T12:00:00+02:00,10.0.0.0/8 2001:db8::/32\n"
    (made,) = import_keys(filled, ACTOR, source, PEPPER, untold).made
    assert show_key(filled, made.key.id) == made.key
    assert (made.key.expires_at, made.key.pepper_version) == (datetime(2090, 6, 30, 10, tzinfo=UTC), 3)
    assert repr(made) == f"ImportedKey({made.key!r})", "which does not tell the text"
    with filled.read() as session:
        assert [(change.revision, change.kind, change.id) for change in changes_since(session, before)] == [
            (before + 1, "key", made.key.id)
        ]


def test_of_two_files_with_one_name_one_is_made(filled: Database) -> None:
    import_tenants(filled, ACTOR, b"name\nnew\n", known, untold)
    with pytest.raises(ImportRefused, match=r"nothing was changed: line 3, name: there is a tenant of this name already") as refused:
        import_tenants(filled, ACTOR, b"name\nother\nnew\n", known, untold)
    assert [(fault.line, fault.column) for fault in refused.value.faults] == [(3, "name")]
    assert "other" not in {tenant.name for tenant in list_tenants(filled)}
