"""API keys of tenants: made once, rotated, edited, revoked for good, listed without their secrets.

Each change is checked, stored, numbered and audited in one transaction. Where a tenant's own key or person asks for it,
`minter` is that one: it is proven anew in that transaction, and bounds what is given.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sqlmodel import Session

from gatehouse.db.audit import Actor, record_audit
from gatehouse.db.clock import database_now
from gatehouse.db.revision import hold_revision, record_change
from gatehouse.db.session import Database
from gatehouse.errors import Refused
from gatehouse.identity import key_store, store
from gatehouse.identity.api_keys import mint_key
from gatehouse.identity.key_store import ApiKey
from gatehouse.identity.key_wishes import KeyWish, check_expiry, check_key_name, check_rates, default_scopes, scopes_for
from gatehouse.identity.minters import Authority, Minter
from gatehouse.identity.peppers import Pepper
from gatehouse.identity.plans import facts_of_rate, named_plan
from gatehouse.identity.store import Tenant
from gatehouse.identity.tenants import named_tenant, operator_tenant
from gatehouse.principal import OPERATOR_TENANT

USUAL = KeyWish()
DEFAULT_GRACE = timedelta(hours=24)
LONGEST_GRACE = timedelta(days=30)
MOST_KEYS = 1000
"""Keys of a tenant, revoked ones aside, up to which its own keys can make more; each has throttles of its own."""


class NoSuchKey(Refused):
    """No key has this id, or none of this tenant."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"no key {key_id!r}: gatehouse keys list shows the ids", fact="there is no such key")


class KeyNotUsable(Refused):
    """The key is revoked or expired, or the tenant has too many."""


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A new key, or one with a new secret, with its text, which exists here and nowhere else."""

    key: ApiKey
    text: str
    tenant: Tenant
    grants: list[store.Grant]

    def __repr__(self) -> str:
        return f"CreatedKey({self.key!r})"


def create_key(
    database: Database, actor: Actor, tenant_name: str, pepper: Pepper, wish: KeyWish = USUAL, minter: Minter | None = None
) -> CreatedKey:
    """A new key of a tenant. `_operator` is made on demand. Raises Refused; for a minter also BeyondOwnKey and what Minter.hold raises."""
    check_key_name(wish.name)
    now = datetime.now(UTC)
    check_expiry(wish.expires_at, now)
    with database.write() as session:
        hold_revision(session)
        authority = minter.hold(session) if minter else None
        if authority is not None:
            wish = authority.filled(wish)
        tenant = operator_tenant(session, actor) if tenant_name == OPERATOR_TENANT else named_tenant(session, tenant_name)
        check_rates(wish.requests, wish.rows, named_plan(session, tenant.plan))
        minted = mint_key(pepper.secret)
        key = ApiKey(
            id=minted.id,
            tenant=tenant.name,
            name=wish.name,
            scopes=default_scopes(tenant) if wish.scopes is None else scopes_for(tenant.name, wish.scopes),
            requests=wish.requests,
            rows=wish.rows,
            created_at=now,
            expires_at=wish.expires_at,
            revoked_at=None,
            networks=wish.networks,
            pepper_version=pepper.version,
        )
        _check(authority, key)
        if authority is not None and key_store.count_keys(session, tenant.id) >= MOST_KEYS:
            raise KeyNotUsable(f"there are {MOST_KEYS} keys already: revoke those that nobody needs")
        key_store.add_key(session, key, tenant, minted.digest)
        _record(session, actor, "key.create", None, key)
        return CreatedKey(key, minted.text, tenant, store.list_grants(session, tenant))


def list_keys(database: Database, tenant_name: str | None = None, *, under_pepper: int | None = None) -> list[ApiKey]:
    """Keys of one tenant, or all, oldest first; or only those that stop with this version of the pepper. Raises NotKnown."""
    with database.read() as session:
        tenant = None if tenant_name is None else named_tenant(session, tenant_name)
        return key_store.list_keys(session, tenant, under_pepper=under_pepper)


def newest_keys(database: Database, tenant_id: str, most: int) -> list[ApiKey]:
    """Keys of one tenant, newest first, at most so many."""
    with database.read() as session:
        return key_store.newest_keys(session, tenant_id, most)


def show_key(database: Database, key_id: str, *, of: str | None = None) -> ApiKey:
    """One key, which must be of the tenant `of` where that is given. Raises NoSuchKey."""
    with database.read() as session:
        return _named_key(session, key_id, of)


def edit_key(database: Database, actor: Actor, key_id: str, change: Callable[[ApiKey], ApiKey], minter: Minter | None = None) -> ApiKey:
    """Change name, scopes, expiry, networks or limits. Raises Refused; for a minter also BeyondOwnKey and what Minter.hold raises."""
    now = datetime.now(UTC)
    with database.write() as session:
        hold_revision(session)
        authority = minter.hold(session) if minter else None
        before = _usable_key(session, key_id, authority)
        after = change(before)
        _check(authority, after)
        _check_edit(session, before, after, now)
        if after != before:
            key_store.change_key(session, after)
            _record(session, actor, "key.edit", before, after)
        return after


def rotate_key(
    database: Database, actor: Actor, key_id: str, pepper: Pepper, grace: timedelta = DEFAULT_GRACE, minter: Minter | None = None
) -> CreatedKey:
    """A new secret for a key; the one it has works until `grace` ends, and one from before that ends now.

    Id, limits, scopes and history stay. Raises Refused; for a minter also BeyondOwnKey and what Minter.hold raises.
    """
    if not timedelta(0) <= grace <= LONGEST_GRACE:
        raise Refused(f"the grace is 0 to {LONGEST_GRACE.days} days: then the secret from before ends")
    with database.write() as session:
        hold_revision(session)
        # the servers' common clock, after the wait for the lock: tokens are told apart by whether they are older than the rotation
        now = database_now(session)
        before = _usable_key(session, key_id, minter.hold(session) if minter else None)
        if before.expires_at is not None and before.expires_at <= now:
            raise KeyNotUsable(f"the key has expired at {before.expires_at:%Y-%m-%d %H:%M} UTC: give it a later expiry first")
        minted = mint_key(pepper.secret, key_id=key_id)
        after = replace(before, rotated_at=now, grace_ends_at=now + grace, pepper_version=pepper.version)
        key_store.rotate_secret(session, after, minted.digest, keep_previous=grace > timedelta(0))
        _record(session, actor, "key.rotate", before, after)
        tenant = named_tenant(session, after.tenant)
        return CreatedKey(after, minted.text, tenant, store.list_grants(session, tenant))


def revoke_key(database: Database, actor: Actor, key_id: str, minter: Minter | None = None) -> ApiKey:
    """Stop a key for good; revoking it again changes nothing. Raises NoSuchKey; for a minter also what Minter.hold raises."""
    with database.write() as session:
        hold_revision(session)
        key = _named_key(session, key_id, _tenant_of(minter.hold(session) if minter else None))
        if key.revoked_at is not None:
            return key
        revoked = replace(key, revoked_at=datetime.now(UTC))
        key_store.mark_key_revoked(session, revoked)
        _record(session, actor, "key.revoke", key, revoked)
        return revoked


def working_key(session: Session, key_id: str, tenant: str, now: datetime) -> ApiKey:
    """A key of this tenant that calls can be made with. Raises NoSuchKey, KeyNotUsable."""
    key = _named_key(session, key_id, tenant)
    if key.revoked_at is not None:
        raise KeyNotUsable(f"the key is revoked since {key.revoked_at:%Y-%m-%d %H:%M} UTC: name one that works")
    if key.expires_at is not None and key.expires_at <= now:
        raise KeyNotUsable(f"the key has expired at {key.expires_at:%Y-%m-%d %H:%M} UTC: name one that works")
    return key


def facts_of_key(key: ApiKey) -> dict[str, object]:
    """What may be decided about a key, for the audit trail."""
    return {
        "tenant": key.tenant,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "expires_at": _iso(key.expires_at),
        "networks": [str(network) for network in key.networks],
        "requests": None if key.requests is None else facts_of_rate(key.requests),
        "rows": None if key.rows is None else facts_of_rate(key.rows),
    }


def _named_key(session: Session, key_id: str, tenant: str | None = None) -> ApiKey:
    key = key_store.show_key(session, key_id)
    if key is None or tenant not in (None, key.tenant):
        raise NoSuchKey(key_id)
    return key


def _usable_key(session: Session, key_id: str, authority: Authority | None) -> ApiKey:
    """A key that is not revoked, of the minter's tenant, all of which the minter could give itself."""
    key = _named_key(session, key_id, _tenant_of(authority))
    if key.revoked_at is not None:
        raise KeyNotUsable(f"the key is revoked since {key.revoked_at:%Y-%m-%d %H:%M} UTC and stays so: make a new one")
    _check(authority, key)
    return key


def _tenant_of(authority: Authority | None) -> str | None:
    return authority.tenant if authority else None


def _check(authority: Authority | None, key: ApiKey) -> None:
    if authority is not None:
        authority.check(key)


def _check_edit(session: Session, before: ApiKey, after: ApiKey, now: datetime) -> None:
    """What an edit changes must hold by itself; what it leaves may be older than the rules."""
    if after.name != before.name:
        check_key_name(after.name)
    if after.expires_at != before.expires_at:
        check_expiry(after.expires_at, now)
    if after.scopes != before.scopes:
        scopes_for(after.tenant, after.scopes)
    if (after.requests, after.rows) != (before.requests, before.rows):
        plan = named_plan(session, named_tenant(session, after.tenant).plan)
        check_rates(after.requests, after.rows, plan)


def _record(session: Session, actor: Actor, action: str, before: ApiKey | None, after: ApiKey) -> None:
    record_change(session, "key", after.id)
    known = None if before is None else _facts_over_time(before)
    record_audit(session, actor, action, after.id, before=known, after=_facts_over_time(after))


def _facts_over_time(key: ApiKey) -> dict[str, object]:
    """A key for the audit trail: what can be edited, and how far its life is."""
    life = {"revoked_at": _iso(key.revoked_at), "rotated_at": _iso(key.rotated_at), "grace_ends_at": _iso(key.grace_ends_at)}
    return facts_of_key(key) | life | {"pepper_version": key.pepper_version}


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
