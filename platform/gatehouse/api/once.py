"""A prediction that carries an Idempotency-Key: claimed before it takes anything, scored by the version of the key's first call."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from gatehouse.api.answer import Answer, note_version
from gatehouse.call import Call
from gatehouse.contracts.decode import Decoded
from gatehouse.errors import InvalidInput
from gatehouse.limits.idempotency import Idempotency
from gatehouse.limits.idempotency_store import Claim
from gatehouse.migration.endpoint import Endpoint
from gatehouse.principal import Principal
from gatehouse.serving.registry import Served

C = TypeVar("C")
Rows = tuple[Decoded, bool]
"""What a body holds, and whether it was too large for the event loop."""


class FormerVersions(Protocol[C]):
    """Versions whether they are released or not; one of a later API version answers by the endpoint's contract, over a bridge."""

    async def load(self, model: str, api_version: str, version: str, deadline_s: float) -> Served[C]:
        """Raises IdempotencyVersionGone, EndpointUnavailable."""


@dataclass(frozen=True, slots=True)
class Steps(Generic[C]):
    """What every prediction goes through, for a version that is only now known."""

    read: Callable[[Served[C]], Awaitable[Rows]]
    """Raises InvalidJson, InvalidInput."""
    score: Callable[[Served[C], Decoded, bool], Awaitable[Answer]]
    """Takes the rows, scores them, and meters them unless the call is a replay."""


class Once(Generic[C]):
    """Used on the event loop."""

    def __init__(self, idempotency: Idempotency, former: FormerVersions[C], deadline_s: float) -> None:
        self._idempotency = idempotency
        self._former = former
        self._deadline_s = deadline_s

    async def answer(
        self, key: str, call: Call, principal: Principal, endpoint: Endpoint, served: Served[C], body: Sequence[bytes], steps: Steps[C]
    ) -> Answer:
        """The answer by `served`, or of a repeat by the version of its first call.

        Raises what the steps raise, IdempotencyInProgress, IdempotencyKeyReused, IdempotencyUnavailable, IdempotencyVersionGone.
        """
        claim, rows = await self._claim(key, principal, endpoint, served, body, steps)
        async with self._idempotency.holding(claim):
            if rows is None:
                served = await self._former.load(endpoint.model, endpoint.api_version, claim.model_version, self._deadline_s)
                note_version(call, served)
                rows = await steps.read(served)
            call.event_id, call.replayed = claim.event_id, claim.replayed
            return await steps.score(served, *rows)

    async def _claim(
        self, key: str, principal: Principal, endpoint: Endpoint, served: Served[C], body: Sequence[bytes], steps: Steps[C]
    ) -> tuple[Claim, Rows | None]:
        """The claim, and the rows unless another version has to read them."""
        version, whose = served.manifest.version, (principal.tenant_id, endpoint.name)
        try:
            rows = await steps.read(served)
        except InvalidInput:
            known = await self._idempotency.find(*whose, key, body)  # what the endpoint takes may have changed since the first call
            if known is None:
                raise
            return known, None
        claim = await self._idempotency.claim(*whose, key, body, version)
        return claim, rows if claim.model_version == version else None
