"""API keys of tenants: made once, listed without their secret, revoked for good."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from gatehouse.db.audit import Actor, record_audit
from gatehouse.db.revision import hold_revision, record_change
from gatehouse.db.session import Database
from gatehouse.errors import NotKnown, Refused
from gatehouse.identity import store
from gatehouse.identity.api_keys import mint_key
from gatehouse.identity.names import check_name
from gatehouse.identity.plans import check_key_rate, facts_of_rate, named_plan
from gatehouse.identity.store import ApiKey, Tenant
from gatehouse.identity.tenants import named_tenant, operator_tenant
from gatehouse.principal import DEFAULT_KEY_SCOPES, OPERATOR_TENANT, Plan, Rate, Scope

OPERATOR_KEY_SCOPES = frozenset({Scope.ADMIN_READ, Scope.METRICS_READ})
"""What a key of the deployment itself may do unless more is asked for."""


@dataclass(frozen=True, slots=True)
class Pepper:
    """What keys the digests, and its number, which is stored beside each digest."""

    secret: bytes
    version: int = 1

    def __repr__(self) -> str:
        return f"Pepper(version={self.version})"


@dataclass(frozen=True, slots=True)
class KeyWish:
    """What a new key shall be. `scopes` None is the usual set; rates None are the plan's."""

    name: str = "default"
    scopes: AbstractSet[Scope] | None = None
    expires_at: datetime | None = None
    requests: Rate | None = None
    rows: Rate | None = None


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A new key with its text, which exists here and nowhere else."""

    key: ApiKey
    text: str
    tenant: Tenant
    grants: list[store.Grant]

    def __repr__(self) -> str:
        return f"CreatedKey({self.key!r})"


def create_key(database: Database, actor: Actor, tenant_name: str, pepper: Pepper, wish: KeyWish = KeyWish()) -> CreatedKey:
    """A new key of a tenant. `_operator` is made on demand. Raises Refused."""
    check_name("key", wish.name)
    now = datetime.now(UTC)
    if wish.expires_at is not None and wish.expires_at <= now:
        raise Refused(f"the key would have expired at {wish.expires_at:%Y-%m-%d %H:%M} UTC: give a moment that is still to come")
    with database.write() as session:
        hold_revision(session)
        tenant = operator_tenant(session, actor) if tenant_name == OPERATOR_TENANT else named_tenant(session, tenant_name)
        _check_rates(wish, named_plan(session, tenant.plan))
        scopes = _allowed_scopes(tenant, wish.scopes)
        minted = mint_key(pepper.secret)
        key = ApiKey(minted.id, tenant.name, wish.name, scopes, wish.requests, wish.rows, now, wish.expires_at, None)
        store.add_key(session, key, tenant, minted.digest, pepper.version)
        record_change(session, "key", key.id)
        record_audit(session, actor, "key.create", key.id, _facts(key))
        return CreatedKey(key, minted.text, tenant, store.list_grants(session, tenant))


def list_keys(database: Database, tenant_name: str | None = None) -> list[ApiKey]:
    """Keys of one tenant, or all, oldest first. Raises NotKnown."""
    with database.read() as session:
        return store.list_keys(session, None if tenant_name is None else named_tenant(session, tenant_name))


def revoke_key(database: Database, actor: Actor, key_id: str) -> ApiKey:
    """Stop a key for good; revoking it again changes nothing. Raises NotKnown."""
    with database.write() as session:
        hold_revision(session)
        key = store.show_key(session, key_id)
        if key is None:
            raise NotKnown("key", key_id, (known.id for known in store.list_keys(session)))
        if key.revoked_at is not None:
            return key
        revoked = replace(key, revoked_at=datetime.now(UTC))
        store.mark_key_revoked(session, revoked)
        record_change(session, "key", key_id)
        record_audit(session, actor, "key.revoke", key_id, {"tenant": key.tenant, "name": key.name})
        return revoked


def _allowed_scopes(tenant: Tenant, wanted: AbstractSet[Scope] | None) -> frozenset[Scope]:
    if wanted is None:
        return OPERATOR_KEY_SCOPES if tenant.name == OPERATOR_TENANT else DEFAULT_KEY_SCOPES
    if not wanted:
        raise Refused("a key needs one scope or more")
    allowed = store.scopes_of_tenant(tenant.name)
    wider = sorted(wanted - allowed)
    if wider:
        raise Refused(
            f"a key of {tenant.name} cannot have {', '.join(wider)}: it can have {', '.join(sorted(allowed))}; "
            f"keys of {OPERATOR_TENANT} can have all"
        )
    return frozenset(wanted)


def _check_rates(wish: KeyWish, plan: Plan) -> None:
    if wish.requests is not None:
        check_key_rate("requests", wish.requests, plan, plan.requests)
    if wish.rows is not None:
        check_key_rate("rows", wish.rows, plan, plan.rows)


def _facts(key: ApiKey) -> dict[str, object]:
    return {
        "tenant": key.tenant,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "expires_at": None if key.expires_at is None else key.expires_at.isoformat(),
        "requests": None if key.requests is None else facts_of_rate(key.requests),
        "rows": None if key.rows is None else facts_of_rate(key.rows),
    }
