"""`/admin/token-keys`: the keys that sign access tokens."""

from datetime import datetime
from typing import Annotated, ClassVar

from fastapi import APIRouter, Path, Query, Request, Response
from sqlmodel import Session

from gatehouse.api.admin.changing import AdminReader, AdminWriter, changes, guarded_database, said_by_admin
from gatehouse.api.admin.entity_tags import SHOWN_TAG, tagged
from gatehouse.api.admin.pages import PageQuery, moment_step, step_moment
from gatehouse.api.admin.parts import AdminParts
from gatehouse.api.key_bodies import Closed
from gatehouse.api.principal import actor_of
from gatehouse.api.probing import get_and_head
from gatehouse.api.strict_router import strict_router
from gatehouse.db.clock import database_now
from gatehouse.errors import NotFound
from gatehouse.identity.sealing import Seal
from gatehouse.identity.token_keys import KeyLife, State, lives_of, retire_key_now, rotate_token_key
from gatehouse.identity.token_store import list_token_keys
from gatehouse.operating import resealing

LIST = "token keys"
PREFIX = "/admin/token-keys"
Kid = Annotated[str, Path(pattern="^[0-9a-f]{16}$", description="The key's id, as `kid` has it in a token")]


class TokenKeyEntry(Closed):
    """A key without its private half. `verifies_until` is null until the next rotation."""

    passing: ClassVar[frozenset[str]] = frozenset({"state"})

    id: str
    state: State
    created_at: datetime
    signs_from: datetime
    verifies_until: datetime | None


class TokenKeyList(Closed):
    """In the order in which they sign."""

    items: list[TokenKeyEntry]
    next: str | None


class Resealed(Closed):
    """What was encrypted under the secret from before: ids of token keys, and `notice-target TENANT`."""

    resealed: list[str]


def token_keys_router(parts: AdminParts) -> APIRouter:
    """List, show, rotate, retire and encrypt anew."""
    router = strict_router(prefix=PREFIX, tags=["admin: token keys"])
    seal = Seal(*parts.settings.secret_keys)

    @get_and_head(router, "", summary="The keys that sign access tokens", operation_id="admin_list_token_keys")
    @parts.limited
    def list_all(request: Request, principal: AdminReader, query: Annotated[PageQuery, Query()]) -> TokenKeyList:
        after = query.after(LIST, step_moment, str)
        with parts.database.read() as session:
            now, lives = database_now(session), lives_of(list_token_keys(session))
        found = [life for life in lives if after is None or (life.key.signs_from, life.key.kid) > after]
        items, cursor = query.cut(LIST, found, lambda life: (moment_step(life.key.signs_from), life.key.kid))
        return TokenKeyList(items=[_entry(life, now) for life in items], next=cursor)

    @router.post(
        "/rotate",
        summary="Publish a new key, which signs ten seconds later",
        operation_id="admin_rotate_token_key",
        status_code=201,
        **changes(409, matched=False),
    )
    @parts.limited
    def rotate(request: Request, response: Response, principal: AdminWriter) -> TokenKeyEntry:
        with said_by_admin():
            parts.check_restarted()
            made = rotate_token_key(guarded_database(request, parts), actor_of(request, principal), seal, now())
        response.headers["Location"] = f"{PREFIX}/{made.kid}"
        with parts.database.read() as session:
            return tagged(response, shown(session, made.kid))

    @router.post(
        "/reseal",
        summary="Encrypt what is kept under a new GATEHOUSE_SECRET_KEY",
        operation_id="admin_reseal_token_keys",
        **changes(409, matched=False),
    )
    @parts.limited
    def reseal(request: Request, principal: AdminWriter) -> Resealed:
        with said_by_admin():
            parts.check_restarted()
            return Resealed(resealed=resealing.reseal(guarded_database(request, parts), actor_of(request, principal), seal))

    @get_and_head(router, "/{kid}", summary="One key", operation_id="admin_show_token_key", responses={200: SHOWN_TAG})
    @parts.limited
    def show(request: Request, response: Response, principal: AdminReader, kid: Kid) -> TokenKeyEntry:
        with parts.database.read() as session:
            return tagged(response, shown(session, kid))

    @router.post(
        "/{kid}/retire",
        summary="Stop a key's tokens before their time",
        operation_id="admin_retire_token_key",
        **changes(404, 409),
    )
    @parts.limited
    def retire(request: Request, response: Response, principal: AdminWriter, kid: Kid) -> TokenKeyEntry:
        guarded = guarded_database(request, parts, lambda session: shown(session, kid))
        with said_by_admin():
            retire_key_now(guarded, actor_of(request, principal), kid, now())
        with parts.database.read() as session:
            return tagged(response, shown(session, kid))

    def now() -> datetime:
        with parts.database.read() as session:
            return database_now(session)

    return router


def shown(session: Session, kid: str) -> TokenKeyEntry:
    """Raises NotFound."""
    found = next((life for life in lives_of(list_token_keys(session)) if life.key.kid == kid), None)
    if found is None:
        raise NotFound(reason="no_such_token_key")
    return _entry(found, database_now(session))


def _entry(life: KeyLife, now: datetime) -> TokenKeyEntry:
    return TokenKeyEntry(
        id=life.key.kid,
        state=life.state(now),
        created_at=life.key.created_at,
        signs_from=life.key.signs_from,
        verifies_until=life.ends_at,
    )
