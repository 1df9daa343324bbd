"""`/account/keys`: a tenant's own keys, by one of them that may manage keys. It gives no more than it has."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from sqlmodel import Session

from gatehouse.api.admin.entity_tags import IF_MATCH, SHOWN_TAG, check_match, if_match, tag_of, tagged
from gatehouse.api.json_body import body_of, invalid, parsed
from gatehouse.api.key_bodies import ChangedKey, Closed, KeyEdit, KeyEntry, KeyList, NewKey, Notice, Rotation, ShownKey, entry, rate_of
from gatehouse.api.openapi_problems import problem_ref
from gatehouse.api.principal import Needs, actor_of, call_of
from gatehouse.api.probing import get_and_head
from gatehouse.api.strict_router import strict_router
from gatehouse.api.throttle import Throttle, by_key
from gatehouse.db.session import Database
from gatehouse.errors import CredentialInvalid, KeyConflict, NotFound, Refused
from gatehouse.identity import keys
from gatehouse.identity.key_store import ApiKey
from gatehouse.identity.key_wishes import KeyWish, WishRefused
from gatehouse.identity.keys import CreatedKey, KeyNotUsable, NoSuchKey
from gatehouse.identity.minters import Minter
from gatehouse.identity.networks import contains, parse_networks
from gatehouse.identity.peppers import Pepper
from gatehouse.identity.proof import Prover
from gatehouse.principal import Network, Principal, Scope

KeyId = Annotated[str, Path(pattern="^[0-9A-Za-z]{16}$", description="The key's id")]
KeyManager = Annotated[Principal, Depends(Needs(Scope.KEYS_MANAGE))]
Body = Annotated[bytes, Depends(body_of)]
CHALLENGE = ("WWW-Authenticate", 'Bearer realm="gatehouse", error="invalid_token"')
OWN_KEY = "own_key"
MOST_LISTED = 1000


def keys_router(database: Database, pepper: Pepper, prover: Prover, throttle: Throttle, per_minute: int) -> APIRouter:
    """Make, list, show, edit, rotate and revoke the caller's tenant's keys; `prover` proves who asks anew in each change."""
    router = strict_router(prefix="/account/keys", tags=["keys"])
    limited = throttle.limit(f"{per_minute}/minute", key_func=by_key)

    @get_and_head(router, "", summary="The keys of your tenant, without their secrets", operation_id="list_keys")
    @limited
    def list_keys(request: Request, principal: KeyManager) -> KeyList:
        found = keys.newest_keys(database, principal.tenant_id, MOST_LISTED + 1)
        now = datetime.now(UTC)
        return KeyList(keys=[entry(key, now) for key in found[:MOST_LISTED]], more=len(found) > MOST_LISTED)

    @router.post("", summary="Make a key, which is shown once", operation_id="create_key", status_code=201, **takes(NewKey))
    @limited
    def create_key(request: Request, response: Response, principal: KeyManager, body: Body) -> ShownKey:
        asked = parsed(request, body, NewKey)
        wish = KeyWish(
            name=asked.name,
            scopes=None if asked.scopes is None else frozenset(asked.scopes),
            expires_at=asked.expires_at,
            networks=networks_of(asked.networks),
            requests=rate_of(asked.requests),
            rows=rate_of(asked.rows),
        )
        with said_by_http():
            made = keys.create_key(database, actor_of(request, principal), principal.tenant, pepper, wish, minter_of(request, prover))
        return tagged(response, shown_once(made, []))

    @get_and_head(router, "/{key_id}", summary="One key, without its secret", operation_id="show_key", responses={200: SHOWN_TAG})
    @limited
    def show_key(request: Request, response: Response, principal: KeyManager, key_id: KeyId) -> KeyEntry:
        with said_by_http():
            return tagged(response, entry(keys.show_key(database, key_id, of=principal.tenant), datetime.now(UTC)))

    @router.patch("/{key_id}", summary="Change a key; its secret stays", operation_id="edit_key", **takes(KeyEdit, 409, matched=True))
    @limited
    def edit_key(request: Request, response: Response, principal: KeyManager, key_id: KeyId, body: Body) -> ChangedKey:
        asked = parsed(request, body, KeyEdit)
        changed = edited(asked)
        with said_by_http():
            key = keys.edit_key(as_seen(request, key_id), actor_of(request, principal), key_id, changed, minter_of(request, prover))
        notices = after_edit(key, asked, principal, call_of(request).address)
        return tagged(response, ChangedKey(**entry(key, datetime.now(UTC)).model_dump(), notices=notices))

    @router.post(
        "/{key_id}/rotate",
        summary="Give a key a new secret, which is shown once",
        operation_id="rotate_key",
        **takes(Rotation, 409, matched=True),
    )
    @limited
    def rotate_key(request: Request, response: Response, principal: KeyManager, key_id: KeyId, body: Body) -> ShownKey:
        grace = timedelta(seconds=parsed(request, body, Rotation, optional=True).grace_s)
        with said_by_http():
            made = keys.rotate_key(
                as_seen(request, key_id), actor_of(request, principal), key_id, pepper, grace, minter_of(request, prover)
            )
        return tagged(response, shown_once(made, own_key(made.key, principal, "it must send the new secret before the grace ends")))

    @router.delete("/{key_id}", summary="Revoke a key for good", operation_id="revoke_key", **if_match(demanded=False))
    @limited
    def revoke_key(request: Request, response: Response, principal: KeyManager, key_id: KeyId) -> ChangedKey:
        with said_by_http():
            key = keys.revoke_key(as_seen(request, key_id), actor_of(request, principal), key_id, minter_of(request, prover))
        notices = own_key(key, principal, "it is refused from now on, on every server within a second")
        return tagged(response, ChangedKey(**entry(key, datetime.now(UTC)).model_dump(), notices=notices))

    def as_seen(request: Request, key_id: str) -> Database:
        """The database for a change of a key; where If-Match is given, it must name the state that the change finds."""

        def check(session: Session) -> None:
            caller = minter_of(request, prover).prove(session)
            key = keys.show_key(database.joined(session), key_id, of=caller.tenant)
            check_match(request, tag_of(entry(key, datetime.now(UTC))), demanded=False)

        return database.guarded(check) if IF_MATCH in request.headers else database

    return router


def takes(model: type[Closed], *statuses: int, matched: bool = False) -> dict[str, Any]:
    """What the OpenAPI document says of a route that reads its body itself, and If-Match where `matched`."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    if model is KeyEdit:  # what is left out stays as it is
        for member in schema["properties"].values():
            member.pop("default", None)
    content = {"application/json": {"schema": schema}}
    matching = if_match(demanded=False) if matched else {}
    return {
        "openapi_extra": {"requestBody": {"required": model is not Rotation, "content": content}} | matching.get("openapi_extra", {}),
        "responses": {status: problem_ref(status) for status in (408, 413, 415, 422, *statuses)} | matching.get("responses", {}),
    }


@contextmanager
def said_by_http() -> Iterator[None]:
    """Refusals of the room as problems. Another tenant's key is not there."""
    try:
        yield
    except NoSuchKey:
        raise NotFound(reason="no_such_key") from None
    except KeyNotUsable as refusal:
        raise KeyConflict(sentence(refusal)) from None
    except WishRefused as refusal:
        raise invalid([{"pointer": f"/{refusal.member}", "code": "refused", "detail": refusal.fact}]) from None
    except CredentialInvalid as refusal:
        refusal.headers = (CHALLENGE,)
        raise


def sentence(refusal: Refused) -> str:
    """A refusal's line as a detail; the name of an endpoint at its head stays as it is."""
    text = str(refusal)
    return f"{text if '/' in text.partition(' ')[0] else text[:1].upper() + text[1:]}."


def minter_of(request: Request, prover: Prover) -> Minter:
    """Who asks, by what it sent."""
    call = call_of(request)
    return Minter(prover, call.credential, call.address)


def networks_of(texts: list[str]) -> tuple[Network, ...]:
    """Raises InvalidInput."""
    try:
        return parse_networks(texts)
    except Refused:
        detail = "must be networks such as 192.0.2.0/24 or 2001:db8::/32, with no bits set behind the prefix length"
        raise invalid([{"pointer": "/networks", "code": "invalid", "detail": detail}]) from None


def edited(asked: KeyEdit) -> Any:
    """The change of a key that is asked for."""
    given = asked.model_fields_set
    if not given:
        raise invalid([{"pointer": "", "code": "missing", "detail": f"must hold one of {', '.join(KeyEdit.model_fields)}"}])
    values: dict[str, Any] = {
        "name": asked.name,
        "scopes": frozenset(asked.scopes),
        "expires_at": asked.expires_at,
        "networks": networks_of(asked.networks or []),
        "requests": rate_of(asked.requests),
        "rows": rate_of(asked.rows),
    }
    chosen = {name: value for name, value in values.items() if name in given}

    def change(key: ApiKey) -> ApiKey:
        return replace(key, **chosen)

    return change


def shown_once(made: CreatedKey, notices: list[Notice]) -> ShownKey:
    """A key with its text."""
    return ShownKey(**entry(made.key, datetime.now(UTC)).model_dump(), notices=notices, key=made.text)


def own_key(key: ApiKey, principal: Principal, consequence: str) -> list[Notice]:
    """Said where a key acted on itself."""
    return [Notice(code=OWN_KEY, detail=f"This is the key that made the call: {consequence}.")] if key.id == principal.key_id else []


def after_edit(key: ApiKey, asked: KeyEdit, principal: Principal, address: str) -> list[Notice]:
    """Said where a key has shut itself out."""
    if Scope.KEYS_MANAGE not in key.scopes:
        return own_key(key, principal, "it cannot manage keys any more")
    if key.networks and not contains(key.networks, address):
        return own_key(key, principal, "it is refused from the address that it was used from now")
    if asked.expires_at is not None:
        return own_key(key, principal, "it ends at that moment and cannot prolong itself")
    return []
