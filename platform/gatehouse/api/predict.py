"""The prediction endpoint: from an admitted call to its answer, each step once, in this order."""

import asyncio
from collections.abc import Awaitable
from functools import partial
from typing import Protocol

from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope

from gatehouse.api.answer import SCORES_A_STEP, Answer, answer_of, note_version, send_answer, written, written_in_steps
from gatehouse.api.body import body_here, read_body
from gatehouse.api.once import Once, Rows, Steps
from gatehouse.api.rows import CompiledContract, read_rows, read_rows_in_steps
from gatehouse.call import SCOPE_KEY, Call, Fields, Kept, Route
from gatehouse.contracts.decode import INLINE_BYTES, Decoded
from gatehouse.contracts.fast_decode import Matrix
from gatehouse.errors import CredentialMissing, MethodNotAllowed, ScopeMissing, UnsupportedMediaType
from gatehouse.limits.gate import Gate
from gatehouse.limits.idempotency_key import sent_key
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.lifecycle import Endpoints
from gatehouse.principal import Principal, Scope
from gatehouse.serving.batching import Batching
from gatehouse.serving.engine import Scores
from gatehouse.serving.predictor import Predictor
from gatehouse.serving.registry import Served
from gatehouse.serving.rounds import Rounds
from gatehouse.serving.turns import Turns
from gatehouse.serving.workers import Workers

_JSON = b"application/json"


class Meter(Protocol):
    """What a prediction needs of usage."""

    def ensure_room(self) -> None:
        """Raises UsageUnavailable when the call could not be metered."""

    def record(self, call: Call) -> Awaitable[None] | None:
        """Write the call down; returns what is to be awaited before the answer leaves, if anything. Both raise UsageUnavailable."""

    def record_for(self, call: Call, waiter: "asyncio.Future[Answer]", answer: Answer) -> None:
        """Write it down, and settle `waiter` then, with its answer or with UsageUnavailable, which it may also raise."""


class Recognition(Protocol):
    """Who a call's credential stands for, once more after the call had to wait."""

    @property
    def generation(self) -> int:
        """While it stays the same, the caller still holds what it held."""

    async def again(self, call: Call) -> Principal:
        """Raises what admission raises."""


class Releases(Protocol):
    """The stable contract of an endpoint, and the version that answers this key."""

    def find(self, endpoint: Endpoint, key_id: str) -> tuple[CompiledContract, Served[CompiledContract]] | None:
        """None where the version is not loaded."""

    async def load(self, endpoint: Endpoint, key_id: str, deadline_s: float) -> tuple[CompiledContract, Served[CompiledContract]]:
        """Raises EndpointUnavailable."""


class Shadows(Protocol):
    """What a prediction needs of shadows; neither raises, nor waits."""

    def kept(self, endpoint: Endpoint) -> Kept | None:
        """Where a call of an endpoint with a shadow keeps what is scored again, if it is to be."""

    def take(self, call: Call, endpoint: Endpoint, kept: Kept) -> None:
        """Once it has been answered."""


class Predict:
    """A plain ASGI endpoint: no dependency solving, no response model, no task or thread for a small call, no database."""

    def __init__(
        self,
        *,
        recognition: Recognition,
        endpoints: Endpoints,
        releases: Releases,
        gate: Gate,
        workers: Workers,
        turns: Turns,
        batching: Batching,
        rounds: Rounds,
        meter: Meter,
        once: Once[CompiledContract],
        shadows: Shadows,
        deadline_s: float,
    ) -> None:
        self._recognition = recognition
        self._endpoints = endpoints
        self._releases = releases
        self._gate = gate
        self._workers = workers
        self._turns = turns
        self._batching = batching
        self._rounds = rounds
        self._meter = meter
        self._once = once
        self._shadows = shadows
        self._deadline_s = deadline_s

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        call: Call = scope[SCOPE_KEY]
        principal, route = call.principal, call.route
        if principal is None or route is None:
            raise CredentialMissing()  # never so behind admission and dispatcher; closed all the same
        if scope["method"] != "POST":
            raise MethodNotAllowed("Predictions are asked for by POST.", headers=[("Allow", "POST")])
        check_scope(principal)
        endpoint = self._endpoints.find(call, principal, route)
        found = self._releases.find(endpoint, principal.key_id)
        contract, served = found or await self._releases.load(endpoint, principal.key_id, self._deadline_s)
        note_version(call, served)
        check_content(call.fields)
        if endpoint.shadow is not None:
            call.kept = self._shadows.kept(endpoint)
        key = sent_key(call.fields)
        body = body_here(receive) or await read_body(receive)
        if call.generation != self._recognition.generation:  # it may have sent its body for half a minute
            principal = await self._still_granted(call, endpoint)
        if key is None:
            rows, large = self._small(contract, served.contract, body, principal), False
            if rows is None:
                rows, large = await self._rows(contract, served.contract, body, principal)
            self._meter.ensure_room()
            answer = await self._score(call, principal, receive, served, rows, large)
        else:
            answer = await self._score_once(key, call, principal, receive, endpoint, contract, served, body)
        await send_answer(send, call, answer)
        if call.kept is not None:
            self._shadows.take(call, endpoint, call.kept)

    async def _still_granted(self, call: Call, endpoint: Endpoint) -> Principal:
        """The caller by now, who may still call this endpoint. Raises what admission, the scope and the grant raise."""
        call.notice = None  # of whoever is refused now, nothing is known any more
        call.principal = principal = await self._recognition.again(call)
        check_scope(principal)
        self._endpoints.find(call, principal, Route(endpoint.api_version, endpoint.model), again=True)
        return principal

    def _small(self, contract: CompiledContract, own: CompiledContract, parts: list[bytes], principal: Principal) -> Decoded | None:
        """What a body holds; None where it is too large for the event loop."""
        if (len(parts) == 1 or sum(map(len, parts)) <= INLINE_BYTES) and own.decoder.fits_inline(body := b"".join(parts)):
            return read_rows(contract, own, body, principal.plan.rows_per_call)
        return None

    async def _rows(self, contract: CompiledContract, own: CompiledContract, parts: list[bytes], principal: Principal) -> Rows:
        """What a body holds, and whether it was too large for the event loop."""
        rows, most = self._small(contract, own, parts, principal), principal.plan.rows_per_call
        if rows is not None:
            return rows, False
        read = partial(self._turns.run, lambda pause: read_rows_in_steps(contract, own, parts, most, pause))
        return await self._workers.run(read, self._deadline_s, tenant=principal.tenant_id), True

    async def _score_once(
        self,
        key: str,
        call: Call,
        principal: Principal,
        receive: Receive,
        endpoint: Endpoint,
        contract: CompiledContract,
        served: Served[CompiledContract],
        body: list[bytes],
    ) -> Answer:
        """The same of a call that is metered once, however often it is repeated with this key."""
        self._meter.ensure_room()
        steps = Steps(
            # the version of a first call reads by its own contract where it does not answer this key any more
            lambda version: self._rows(contract if version is served else version.contract, version.contract, body, principal),
            partial(self._score, call, principal, receive),
        )
        return await self._once.answer(key, call, principal, endpoint, served, body, steps)

    async def _score(
        self, call: Call, principal: Principal, receive: Receive, served: Served[CompiledContract], rows: Decoded, large: bool
    ) -> Answer:
        """The answer, metered by now unless it was before."""
        count, predictor = rows.rows, served.predictor
        taken = await self._gate.take_rows(call, principal, count, metered=not call.replayed)
        try:
            if large or call.alone or call.kept is not None or not predictor.joins or not predictor.fits_inline(count):
                answer = await self._answer(predictor, rows, call, principal, receive, large)
                _note_answer(call, count, taken.month, answer)
                if not call.replayed and (metered := self._meter.record(call)) is not None:
                    await metered
            else:
                answer = await self._rounds.answer(predictor, rows.values, rows.outputs, partial(self._told, call, count, taken.month))
        except BaseException:
            self._gate.give_back(taken)
            raise
        return answer

    def _told(self, call: Call, count: int, month: str, predictions: list[bytes], waiter: "asyncio.Future[Answer]") -> None:
        """The rest for a call of a round, which wakes up once it is metered."""
        answer = answer_of(call, predictions)
        _note_answer(call, count, month, answer)
        if call.replayed:
            waiter.set_result(answer)
        else:
            self._meter.record_for(call, waiter, answer)

    async def _answer(self, predictor: Predictor, rows: Decoded, call: Call, principal: Principal, receive: Receive, large: bool) -> Answer:
        """The answer of a call that is scored alone or in a worker thread, or whose scores are to be kept."""
        if call.kept is not None:
            call.kept.values = rows.values
        if not large and predictor.fits_inline(rows.rows):
            joined = predictor.joins and not call.alone
            scores = await self._rounds.score(predictor, rows.values) if joined else predictor.score(rows.values)
            return written(predictor, rows.outputs, call, keep(call, scores))
        write = partial(self._written, predictor, rows.outputs, call)
        lane = f"{call.model}/{call.api_version}"
        # the body has been read whole: the next thing to be received is that the caller has gone
        return await self._batching.run(
            predictor, rows.values, write, lane=lane, tenant=principal.tenant_id, deadline_s=self._deadline_s, gone=receive
        )

    def _written(self, predictor: Predictor, outputs: tuple[str, ...], call: Call, scores: Scores) -> Answer:
        """In a worker thread."""
        keep(call, scores)
        if scores.size <= SCORES_A_STEP:
            return written(predictor, outputs, call, scores)
        return self._turns.run(lambda pause: written_in_steps(predictor, outputs, call, scores, pause))


def _note_answer(call: Call, rows: int, month: str, answer: Answer) -> None:
    call.rows, call.status, call.month, call.bytes_out = rows, 200, month, sum(map(len, answer))


def keep(call: Call, scores: Scores) -> Scores:
    """The scores, which stay with a call that is to be shadowed, and its rows: its own, not a matrix of others too."""
    if call.kept is not None:
        call.kept.values, call.kept.scores = _own(call.kept.values), _own(scores)
    return scores


def _own(matrix: Matrix) -> Matrix:
    """A part of something larger would keep all of that in memory."""
    whole = matrix.base
    return matrix if whole is None or getattr(whole, "nbytes", matrix.nbytes + 1) <= matrix.nbytes else matrix.copy()


def check_scope(principal: Principal) -> None:
    """Raises ScopeMissing."""
    if Scope.PREDICTIONS_CREATE not in principal.scopes:
        raise ScopeMissing(f"This needs the scope {Scope.PREDICTIONS_CREATE}.", members={"scope": Scope.PREDICTIONS_CREATE})


def check_content(fields: Fields) -> None:
    """One JSON document in UTF-8, not compressed. Raises UnsupportedMediaType."""
    if fields.get(b"content-type") == _JSON and b"content-encoding" not in fields and not fields.repeated:
        return  # as nearly all say it
    encoding = fields.get(b"content-encoding", b"identity")
    if encoding.strip().lower() != b"identity" or b"content-encoding" in fields.repeated:
        raise UnsupportedMediaType("Compressed bodies are not accepted. Send the JSON as it is.", reason="content_encoding")
    content_type = fields.single(b"content-type") or b""
    if not is_json(content_type):
        raise UnsupportedMediaType()


def is_json(content_type: bytes) -> bool:
    """Whether it is `application/json`, with no charset but UTF-8."""
    media_type, *parameters = (part.strip().lower() for part in content_type.split(b";"))
    return media_type == _JSON and all(part in (b"", b"charset=utf-8", b'charset="utf-8"') for part in parameters)
