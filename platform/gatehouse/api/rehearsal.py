"""`/account/rehearse-brownout`: a tenant's lead tries out on one of its keys what a brownout does to its programs."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field

from gatehouse.api.json_body import invalid, parsed
from gatehouse.api.key_bodies import Closed
from gatehouse.api.keys import Body, KeyManager, minter_of, said_by_http, takes
from gatehouse.api.paths import API_VERSION, MODEL_NAME
from gatehouse.api.principal import actor_of
from gatehouse.api.strict_router import strict_router
from gatehouse.api.throttle import Throttle, by_key
from gatehouse.db.revision import hold_revision
from gatehouse.db.session import Database
from gatehouse.errors import NotFound, Refused
from gatehouse.identity.keys import working_key
from gatehouse.identity.proof import Prover
from gatehouse.migration.brownout import LONGEST_REHEARSAL_MIN, Wish
from gatehouse.migration.brownout_store import end_rehearsal, rehearse_brownout
from gatehouse.migration.ending import moment_text
from gatehouse.migration.endpoint import Brownout
from gatehouse.migration.lifecycle import visible
from gatehouse.migration.store import find_endpoint
from gatehouse.principal import Principal


class Rehearsal(Closed):
    """What to rehearse. Again, it begins anew; with 0 minutes it ends."""

    model: Annotated[str, Field(pattern=f"^{MODEL_NAME}$")]
    api_version: Annotated[str, Field(pattern=f"^{API_VERSION}$", description="Of an endpoint that is deprecated")]
    key_id: Annotated[str, Field(pattern="^[0-9A-Za-z]{16}$")] | None = Field(
        None, description="Of a key of your tenant; else the calling key; a person names one"
    )
    minutes: Annotated[int, Field(ge=0, le=LONGEST_REHEARSAL_MIN)] = Field(5, description="How long it lasts; 0 ends it now")
    share: Annotated[int, Field(ge=1, le=100)] = Field(100, description="Percentage of the key's calls that are refused")


class RehearsedBrownout(Closed):
    """What happens to the key's calls of the endpoint; the moments are null where nothing happens any more."""

    model: str
    api_version: str
    key_id: str
    share: int
    starts_at: datetime | None
    ends_at: datetime | None
    detail: str


def rehearsal_router(database: Database, prover: Prover, throttle: Throttle, per_minute: int) -> APIRouter:
    """`POST /account/rehearse-brownout`; `prover` proves who asks anew within the change."""
    router = strict_router(prefix="/account", tags=["account"])
    limited = throttle.limit(f"{per_minute}/minute", key_func=by_key)

    @router.post(
        "/rehearse-brownout", summary="Rehearse a brownout on one of your keys", operation_id="rehearse_brownout", **takes(Rehearsal, 409)
    )
    @limited
    def rehearse(request: Request, principal: KeyManager, body: Body) -> RehearsedBrownout:
        asked, actor = parsed(request, body, Rehearsal), actor_of(request, principal)
        with said_by_http(), database.write() as session:
            hold_revision(session)
            caller, now = minter_of(request, prover).prove(session), datetime.now(UTC).replace(microsecond=0)
            endpoint = find_endpoint(session, asked.model, asked.api_version)
            if endpoint is None or not visible(endpoint, caller):
                raise NotFound(reason="not_granted" if endpoint else "no_such_endpoint")
            key = working_key(session, key_of(asked, caller), caller.tenant, now)
            if not asked.minutes:
                end_rehearsal(session, actor, asked.model, asked.api_version, key.id)
                return ended(asked, key.id)
            wish = Wish(now, asked.minutes, asked.share, caller.tenant_id)
            try:
                window = rehearse_brownout(session, actor, asked.model, asked.api_version, wish, key.id, now)
            except Refused as refusal:
                raise invalid([{"pointer": "/api_version", "code": "refused", "detail": f"{refusal}."}]) from None
            return under_way(asked, window, key.id)

    return router


def key_of(asked: Rehearsal, caller: Principal) -> str:
    """The key that is asked for, else the calling one. Raises InvalidInput."""
    key_id = asked.key_id or caller.key_id
    if not key_id:
        raise invalid([{"pointer": "/key_id", "code": "missing", "detail": "must name a key of your tenant: a person has none of its own"}])
    return key_id


def under_way(asked: Rehearsal, window: Brownout, key_id: str) -> RehearsedBrownout:
    """What happens until when."""
    calls = "All calls" if asked.share == 100 else f"{asked.share} % of the calls"
    detail = (
        f"{calls} of {asked.model}/{asked.api_version} by key {key_id} are answered with 410 endpoint_brownout until "
        f"{moment_text(window.ends_at)}, on every server within a second. No other key is touched, and no refused call is metered."
    )
    return answer(asked, key_id, window.starts_at, window.ends_at, detail)


def ended(asked: Rehearsal, key_id: str) -> RehearsedBrownout:
    """The same where nothing is rehearsed."""
    detail = f"No brownout of {asked.model}/{asked.api_version} is rehearsed by key {key_id}, on every server within a second."
    return answer(asked, key_id, None, None, detail)


def answer(asked: Rehearsal, key_id: str, starts_at: datetime | None, ends_at: datetime | None, detail: str) -> RehearsedBrownout:
    return RehearsedBrownout(
        model=asked.model,
        api_version=asked.api_version,
        key_id=key_id,
        share=asked.share,
        starts_at=starts_at,
        ends_at=ends_at,
        detail=detail,
    )
