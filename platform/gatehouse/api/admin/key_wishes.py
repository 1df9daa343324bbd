"""What operators may give: a tenant's key all that such keys can have, one of the deployment itself no more than its caller has."""

from collections.abc import Iterable
from datetime import datetime

from sqlmodel import Session

from gatehouse.api.admin.key_bodies import AdminNewKey
from gatehouse.api.key_bodies import rate_of
from gatehouse.api.keys import networks_of
from gatehouse.identity.key_store import ApiKey
from gatehouse.identity.key_wishes import OPERATOR_KEY_SCOPES, KeyWish
from gatehouse.identity.minters import authority_of
from gatehouse.principal import OPERATOR_TENANT, Principal


def wish_of(asked: AdminNewKey) -> KeyWish:
    """Raises InvalidInput."""
    return KeyWish(
        name=asked.name,
        scopes=None if asked.scopes is None else frozenset(asked.scopes),
        expires_at=asked.expires_at,
        networks=networks_of(asked.networks),
        requests=rate_of(asked.requests),
        rows=rate_of(asked.rows),
    )


def wished_key(tenant: str, wish: KeyWish, now: datetime) -> ApiKey:
    """The key that would be made."""
    return ApiKey(
        id="",
        tenant=tenant,
        name=wish.name,
        scopes=OPERATOR_KEY_SCOPES if wish.scopes is None else frozenset(wish.scopes),
        requests=wish.requests,
        rows=wish.rows,
        created_at=now,
        expires_at=wish.expires_at,
        revoked_at=None,
        networks=wish.networks,
    )


def check_no_wider(session: Session, caller: Principal, key: ApiKey) -> None:
    """Raises BeyondOwnKey where a key of the deployment itself is or would be more than its caller.

    Else one with admin:write alone could read figures, or live on by a key without an end or from anywhere.
    """
    check_none_wider(session, caller, [key])


def check_none_wider(session: Session, caller: Principal, keys: Iterable[ApiKey]) -> None:
    """The same of many."""
    own = [key for key in keys if key.tenant == OPERATOR_TENANT]
    if own:
        authority = authority_of(session, caller)
        for key in own:
            authority.check(key)
