"""Many tenants, grants and keys in a few statements: an import holds up all who write for as long as it writes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import Table, or_
from sqlmodel import Session, SQLModel, col, select

from gatehouse.db.tables import ALL_VERSIONS, ApiKeyTable, GrantTable, TenantTable
from gatehouse.identity.key_store import ApiKey, key_columns
from gatehouse.identity.store import Grant, Tenant, tenant_of

AT_ONCE = 400
"""Names in one statement; each stands there twice, and SQLite takes 999."""


def taken_names(session: Session, names: Iterable[str]) -> set[str]:
    """Those that are names of tenants."""
    found: set[str] = set()
    for some in _parts(names):
        found.update(session.exec(select(TenantTable.name).where(col(TenantTable.name).in_(some))))
    return found


def referred_tenants(session: Session, references: Iterable[str]) -> dict[str, Tenant]:
    """Tenants by the ids or names by which they are referred to; an id comes before another's name."""
    by_id: dict[str, Tenant] = {}
    by_name: dict[str, Tenant] = {}
    for some in _parts(references):
        query = select(TenantTable).where(or_(col(TenantTable.id).in_(some), col(TenantTable.name).in_(some)))
        for row in session.exec(query):
            by_id[row.id] = by_name[row.name] = tenant_of(row)
    return by_name | by_id


def add_tenants(session: Session, tenants: Iterable[Tenant]) -> None:
    rows = [
        {
            "id": tenant.id,
            "name": tenant.name,
            "plan": tenant.plan,
            "default_model": tenant.default_model,
            "suspended_at": None,
            "created_at": tenant.created_at,
        }
        for tenant in tenants
    ]
    _insert(session, TenantTable, rows)


def add_grants(session: Session, grants: Iterable[tuple[str, Grant]]) -> None:
    """Grants with their tenants' ids."""
    rows = [
        {"tenant_id": tenant_id, "model": grant.model, "api_version": grant.api_version or ALL_VERSIONS, "created_at": grant.created_at}
        for tenant_id, grant in grants
    ]
    if rows:
        _insert(session, GrantTable, rows)


def add_keys(session: Session, keys: Iterable[tuple[str, ApiKey, bytes]]) -> None:
    """Keys with their tenants' ids and their digests."""
    _insert(session, ApiKeyTable, [key_columns(key, tenant_id, digest) for tenant_id, key, digest in keys])


def _insert(session: Session, kind: type[SQLModel], rows: Sequence[Mapping[str, Any]]) -> None:
    """By the table itself: the session's own way would make an object's state of each row."""
    table: Table = kind.__table__  # type: ignore[attr-defined]
    session.connection().execute(table.insert(), rows)


def _parts(texts: Iterable[str]) -> Iterator[Sequence[str]]:
    rest = iter(dict.fromkeys(texts))
    while some := list(islice(rest, AT_ONCE)):
        yield some
