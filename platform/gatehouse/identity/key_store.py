"""Everything that is read and written of API keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy
from sqlalchemy import ColumnElement, Select, and_, bindparam, func, insert, literal, or_, update
from sqlalchemy import select as sqlalchemy_select
from sqlmodel import Session, col, select

from gatehouse.db.tables import ApiKeyTable, GrantTable, PlanTable, TenantTable, UtcDateTime
from gatehouse.identity.networks import networks_text, stored_networks
from gatehouse.identity.store import Tenant, plan_of, rate_columns, rate_of, scopes_of_tenant, stored_scopes, versions_by_model
from gatehouse.principal import Network, Principal, Rate, Scope


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What may be shown of a key."""

    id: str
    tenant: str
    name: str
    scopes: frozenset[Scope]
    requests: Rate | None
    rows: Rate | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    networks: tuple[Network, ...] = ()
    rotated_at: datetime | None = None
    grace_ends_at: datetime | None = None
    """Until when the secret before the last rotation works too."""
    last_used_at: datetime | None = None
    pepper_version: int = 1


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """One of a key's secrets, as a digest under the pepper of a version."""

    digest: bytes
    pepper_version: int


@dataclass(frozen=True, slots=True)
class StoredSecrets:
    """What the secret of a call is checked against."""

    digest: bytes
    pepper_version: int
    previous: StoredSecret | None = None


@dataclass(frozen=True, slots=True)
class StoredKey:
    """What a call is checked against."""

    digest: bytes
    pepper_version: int
    expires_at: datetime | None
    revoked_at: datetime | None
    tenant_suspended: bool
    principal: Principal
    previous: StoredSecret | None = None
    previous_since: datetime | None = None
    """When the previous secret was made, where a rotation had made it."""
    rotated_at: datetime | None = None
    grace_ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Redigest:
    """A secret whose digest moves from an older pepper to a newer one."""

    key_id: str
    before: StoredSecret
    after: StoredSecret


_ONE_ROW = sqlalchemy_select(literal(1).label("one")).subquery("one_row")
_SECRETS = sqlalchemy_select(
    col(ApiKeyTable.digest), col(ApiKeyTable.pepper_version), col(ApiKeyTable.previous_digest), col(ApiKeyTable.previous_pepper_version)
).select_from(_ONE_ROW.outerjoin(ApiKeyTable, col(ApiKeyTable.id) == bindparam("key_id")))


def find_secrets(session: Session, key_id: str) -> StoredSecrets | None:
    """The secrets of a key and nothing else, in one query that brings one row also when there is no such key.

    Reading the whole key before its secret is proven would tell by the time it takes which ids exist.
    """
    digest, version, previous_digest, previous_version = session.connection().execute(_SECRETS, {"key_id": key_id}).one()
    found = StoredSecrets(digest, version, _previous_secret(previous_digest, previous_version))  # made in both cases: it takes time too
    return None if digest is None else found


def find_key(session: Session, key_id: str) -> StoredKey | None:
    """A key with its tenant, plan and grants, in two queries; also an expired or revoked one, which the caller refuses."""
    query = (
        select(ApiKeyTable, TenantTable, PlanTable)
        .join(TenantTable, col(TenantTable.id) == col(ApiKeyTable.tenant_id))
        .join(PlanTable, col(PlanTable.name) == col(TenantTable.plan))
        .where(ApiKeyTable.id == key_id)
    )
    found = session.exec(query).one_or_none()
    if found is None:
        return None
    key, tenant, plan = found
    grants = session.exec(select(GrantTable.model, GrantTable.api_version).where(GrantTable.tenant_id == tenant.id))
    principal = Principal(
        tenant_id=tenant.id,
        tenant=tenant.name,
        key_id=key.id,
        scopes=stored_scopes(key.scopes) & scopes_of_tenant(tenant.name),
        plan=plan_of(plan),
        key_requests=rate_of(key, "requests"),
        key_rows=rate_of(key, "rows"),
        default_model=tenant.default_model,
        grants=versions_by_model(grants),
        networks=stored_networks(key.networks),
    )
    return StoredKey(
        digest=key.digest,
        pepper_version=key.pepper_version,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        tenant_suspended=tenant.suspended_at is not None,
        principal=principal,
        previous=_previous_secret(key.previous_digest, key.previous_pepper_version),
        previous_since=key.previous_since,
        rotated_at=key.rotated_at,
        grace_ends_at=key.grace_ends_at,
    )


def list_keys(session: Session, tenant: Tenant | None = None, *, under_pepper: int | None = None) -> list[ApiKey]:
    """Keys of one tenant or all, oldest first; or only those that need this version of the pepper."""
    order = (col(TenantTable.name), col(ApiKeyTable.created_at), col(ApiKeyTable.id))
    query = shown_keys().order_by(*order)
    if tenant is not None:
        query = query.where(col(ApiKeyTable.tenant_id) == tenant.id)
    if under_pepper is not None:
        query = query.where(needs_pepper(under_pepper))
    return [api_key_of(row, name) for row, name in session.execute(query)]


def needs_pepper(version: int) -> ColumnElement[bool]:
    """Whether a key stops without this version of the pepper."""
    previous = and_(col(ApiKeyTable.previous_pepper_version) == version, col(ApiKeyTable.grace_ends_at) > datetime.now(UTC))
    return and_(col(ApiKeyTable.revoked_at).is_(None), or_(col(ApiKeyTable.pepper_version) == version, previous))


def newest_keys(session: Session, tenant_id: str, most: int) -> list[ApiKey]:
    """Keys of a tenant, newest first."""
    order = (col(ApiKeyTable.created_at).desc(), col(ApiKeyTable.id))
    query = shown_keys().where(col(ApiKeyTable.tenant_id) == tenant_id).order_by(*order).limit(most)
    return [api_key_of(row, name) for row, name in session.execute(query)]


def count_keys(session: Session, tenant_id: str) -> int:
    """Keys of a tenant that are not revoked."""
    query = select(func.count()).where(ApiKeyTable.tenant_id == tenant_id, col(ApiKeyTable.revoked_at).is_(None))
    return session.exec(query).one()


def show_key(session: Session, key_id: str) -> ApiKey | None:
    found = session.execute(shown_keys().where(col(ApiKeyTable.id) == key_id)).one_or_none()
    return None if found is None else api_key_of(found[0], found[1])


def add_key(session: Session, key: ApiKey, tenant: Tenant, digest: bytes) -> None:
    session.execute(insert(ApiKeyTable).values(**key_columns(key, tenant.id, digest)))


def key_columns(key: ApiKey, tenant_id: str, digest: bytes) -> dict[str, Any]:
    """The row of a new key."""
    values = {"id": key.id, "tenant_id": tenant_id, "digest": digest, "pepper_version": key.pepper_version, "created_at": key.created_at}
    return values | _editable_columns(key)


def change_key(session: Session, key: ApiKey) -> None:
    """Write name, scopes, expiry, networks and limits of the key of this id."""
    session.execute(update(ApiKeyTable).where(col(ApiKeyTable.id) == key.id).values(**_editable_columns(key)))


def mark_key_revoked(session: Session, key: ApiKey) -> None:
    """Write the key's `revoked_at`."""
    session.execute(update(ApiKeyTable).where(col(ApiKeyTable.id) == key.id).values(revoked_at=key.revoked_at))


def rotate_secret(session: Session, key: ApiKey, digest: bytes, *, keep_previous: bool) -> None:
    """Give the key a new secret under its `pepper_version`; the one it has becomes the previous one, or is forgotten."""
    session.execute(
        update(ApiKeyTable)
        .where(col(ApiKeyTable.id) == key.id)
        .values(
            previous_digest=col(ApiKeyTable.digest) if keep_previous else None,
            previous_pepper_version=col(ApiKeyTable.pepper_version) if keep_previous else None,
            previous_since=col(ApiKeyTable.rotated_at) if keep_previous else None,
            digest=digest,
            pepper_version=key.pepper_version,
            rotated_at=key.rotated_at,
            grace_ends_at=key.grace_ends_at,
        )
    )


def write_last_uses(session: Session, uses: Sequence[tuple[str, datetime]]) -> None:
    """Key ids with the moment of their last use; an earlier one than is there changes nothing."""
    at = bindparam("at", type_=UtcDateTime())
    last = col(ApiKeyTable.last_used_at)
    statement = (
        update(ApiKeyTable).where(col(ApiKeyTable.id) == bindparam("key_id"), or_(last.is_(None), last < at)).values(last_used_at=at)
    )
    session.connection().execute(statement, [{"key_id": key_id, "at": moment} for key_id, moment in uses])


def write_redigests(session: Session, redigests: Sequence[Redigest]) -> None:
    """Move each secret to its new digest, wherever it stands by now; one that has been rotated away meanwhile stays away."""
    for each in redigests:
        mine = col(ApiKeyTable.id) == each.key_id
        current = and_(mine, col(ApiKeyTable.digest) == each.before.digest)
        previous = and_(mine, col(ApiKeyTable.previous_digest) == each.before.digest)
        after = each.after
        session.execute(update(ApiKeyTable).where(current).values(digest=after.digest, pepper_version=after.pepper_version))
        session.execute(
            update(ApiKeyTable).where(previous).values(previous_digest=after.digest, previous_pepper_version=after.pepper_version)
        )


def shown_keys() -> Select[ApiKeyTable, str]:
    """Keys with their tenants' names."""
    return sqlalchemy.select(ApiKeyTable, col(TenantTable.name)).join(TenantTable, col(TenantTable.id) == col(ApiKeyTable.tenant_id))


def _previous_secret(digest: bytes | None, pepper_version: int | None) -> StoredSecret | None:
    return None if digest is None or pepper_version is None else StoredSecret(digest, pepper_version)


def _editable_columns(key: ApiKey) -> dict[str, Any]:
    return {
        "name": key.name,
        "scopes": " ".join(sorted(key.scopes)),
        "expires_at": key.expires_at,
        "networks": networks_text(key.networks),
        **rate_columns("requests", key.requests),
        **rate_columns("rows", key.rows),
    }


def api_key_of(row: ApiKeyTable, tenant: str) -> ApiKey:
    return ApiKey(
        id=row.id,
        tenant=tenant,
        name=row.name,
        scopes=stored_scopes(row.scopes),
        requests=rate_of(row, "requests"),
        rows=rate_of(row, "rows"),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        networks=stored_networks(row.networks),
        rotated_at=row.rotated_at,
        grace_ends_at=row.grace_ends_at,
        last_used_at=row.last_used_at,
        pepper_version=row.pepper_version,
    )
