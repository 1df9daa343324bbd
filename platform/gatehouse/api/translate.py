"""`POST /v{n}/models/{model}/translate`: a body of an older API version made into one of this, and not scored. Never metered."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Annotated, Any, NamedTuple, Protocol

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope

from gatehouse.api.body import read_body, whole_body
from gatehouse.api.models import ApiVersion, ModelName
from gatehouse.api.openapi_problems import problem_ref
from gatehouse.api.paths import API_VERSION, TRANSLATION_PATH
from gatehouse.api.predict import check_content
from gatehouse.api.principal import Needs
from gatehouse.api.strict_router import strict_router
from gatehouse.api.throttle import Throttle, by_key
from gatehouse.api.upgrades import Pair, Upgrades
from gatehouse.call import SCOPE_KEY
from gatehouse.contracts.upgrade_body import upgraded_body
from gatehouse.principal import Principal, Scope
from gatehouse.serving.turns import Pause, Turns
from gatehouse.serving.workers import Workers
from gatehouse.settings import Settings

LANE = "translate"
Caller = Annotated[Principal, Depends(Needs(Scope.PREDICTIONS_CREATE))]
From = Annotated[
    str | None,
    Query(alias="from", pattern=f"^{API_VERSION}$", description="The API version of the body, where several lead here"),
]
REQUEST: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/PredictionRequest"}}}}
}
ANSWER: dict[str, Any] = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/PredictionRequest"}}}}


class Most(NamedTuple):
    """What a body may have, as it comes and as it goes."""

    rows: int
    bytes: int


class Places(Protocol):
    """How many calls of a tenant may be under way at once."""

    def place(self, principal: Principal) -> AbstractAsyncContextManager[None]:
        """Raises Overloaded or ClientGone."""


def translation_router(
    upgrades: Upgrades, places: Places, workers: Workers, turns: Turns, settings: Settings, throttle: Throttle, per_minute: int
) -> APIRouter:
    """Bodies are read and written in steps by `workers`, as those of predictions are, and beside these among the calls at once."""
    router = strict_router(tags=["models"])

    @router.post(
        TRANSLATION_PATH,
        summary="Make a body of an older API version into one of this, without scoring it",
        operation_id="translate",
        openapi_extra=REQUEST,
        response_model=dict[str, Any],
        responses={200: ANSWER, **{status: problem_ref(status) for status in (408, 413, 415, 422, 503, 504)}},
    )
    @throttle.limit(f"{per_minute}/minute", key_func=by_key)
    async def translate(request: Request, api_version: ApiVersion, model: ModelName, principal: Caller, older: From = None) -> Response:
        pair = await run_in_threadpool(_pair, upgrades, principal, model, older, api_version)
        check_content(request.scope[SCOPE_KEY].fields)
        most = Most(principal.plan.rows_per_call, min(settings.max_body_bytes, principal.plan.bytes_per_call))

        async def new_body(receive: Receive) -> list[bytes]:
            parts = await read_body(receive)  # last: of a call that is refused no byte is read
            work = partial(turns.run, partial(translated, pair, parts, most))
            return await workers.run(work, settings.prediction_deadline_s, LANE, principal.tenant_id)

        return Translation(new_body, places.place(principal))

    return router


def _pair(upgrades: Upgrades, principal: Principal, model: str, older: str | None, newer: str) -> Pair:
    return upgrades.find(principal, model, older or upgrades.only_older(principal, model, newer), newer)[1]


def translated(pair: Pair, parts: list[bytes], most: Most, pause: Pause) -> list[bytes]:
    """The new body, in parts. Raises InvalidJson, InvalidInput, BodyTooLarge."""
    decoder = pair.reads.decoder
    rows = decoder.decode_in_steps(whole_body(parts, decoder.longest_blank, pause), most.rows, pause)
    return upgraded_body(pair.upgrade, rows, most.bytes, pause)


class Translation(Response):
    """JSON that is made when it is sent, part by part, with a turn for everybody else in between; all the while it has its place."""

    media_type = "application/json"

    def __init__(self, make: Callable[[Receive], Awaitable[Sequence[bytes]]], place: AbstractAsyncContextManager[None]) -> None:
        super().__init__()
        self._make = make
        self._place = place

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        async with self._place:
            parts = await self._make(receive)
            self.headers["content-length"] = str(sum(map(len, parts)))
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            for part in parts:
                await send({"type": "http.response.body", "body": part, "more_body": True})
                await asyncio.sleep(0)
            await send({"type": "http.response.body", "body": b""})
