"""How fast calls are refused beyond a limit or for their credential: whoever sends the next at once must not cost the other callers."""

import asyncio
from functools import partial

from starlette.types import ASGIApp, Receive, Scope, Send

from gatehouse.call import CONNECTION_KEY, EXCHANGE_KEY, SCOPE_KEY, Call
from gatehouse.errors import (
    CredentialInvalid,
    CredentialMalformed,
    CredentialMissing,
    LimitShareTooSmall,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    TooManyFailures,
)
from gatehouse.fair_queue import FairQueue
from gatehouse.limits.failed_credentials import network_of

TURN_S = 0.004
"""For each refusal: 250 a second for all of a process together, a few percent of a core."""
TOGETHER = 20
"""Refusals whose turns come at one moment: waking up for each alone would cost several times as much as the refusal."""
AT_ONCE = 20
"""Refusals that do not wait, once there were none for a while."""
WAITING = 1_000
"""Refusals that wait; what comes beyond is refused at once, so that waiting never fills the memory."""

PACED = (
    *(RateLimited, QuotaExhausted, Overloaded, LimitShareTooSmall),
    *(CredentialMissing, CredentialMalformed, CredentialInvalid, TooManyFailures),
)


class RefusalPace:
    """Holds a refusal back until its turn; callers (tenants, or networks of nobody) take turns. The place of the call is free by then.

    A caller that heeds `Retry-After` never notices. One that does not is slowed to what the process can spare.
    """

    def __init__(self, app: ASGIApp, turn_s: float = TURN_S) -> None:
        self.app = app
        self.turn_s = turn_s
        self.waiting = 0
        self._turns: FairQueue[asyncio.Future[None]] = FairQueue()
        self._paid_until = 0.0
        """The refusals so far, a turn's time each, on the clock of the event loop."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except PACED as refusal:
            # the frames that it came through hold the call's body and rows, which count for nobody any more
            refusal.__traceback__ = refusal.__context__ = refusal.__cause__ = None
            if EXCHANGE_KEY in scope:
                scope[EXCHANGE_KEY].let_in = False
            await self._take_turn(scope)
            raise

    async def _take_turn(self, scope: Scope) -> None:
        loop = asyncio.get_running_loop()
        if self._passes(loop.time()) or self.waiting >= WAITING:
            return
        turn = self._queue(caller_of(scope[SCOPE_KEY]), loop)
        connection = scope.get(CONNECTION_KEY)
        if connection is None:  # another server than ours
            await turn
            return
        connection.when_lost(partial(_let_go, turn))
        try:
            await turn
        finally:
            connection.when_lost(None)

    def _passes(self, now: float) -> bool:
        """Whether a refusal need not wait."""
        begin = max(self._paid_until, now)
        if self.waiting or begin + self.turn_s - now > AT_ONCE * self.turn_s:
            return False
        self._paid_until = begin + self.turn_s
        return True

    def _queue(self, caller: str, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
        turn: asyncio.Future[None] = loop.create_future()
        self._turns.add(caller, turn)
        self.waiting += 1
        if self.waiting == 1:
            loop.call_later(TOGETHER * self.turn_s, self._next, loop)
        return turn

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give the turns to the callers that have waited for them longest; those that have gone take none."""
        given = 0
        while self._turns and given < TOGETHER:
            _, turn = self._turns.take()
            self.waiting -= 1
            given += not turn.done()
            _let_go(turn)
        self._paid_until = loop.time() + AT_ONCE * self.turn_s
        if self.waiting:
            loop.call_later(TOGETHER * self.turn_s, self._next, loop)


def _let_go(turn: "asyncio.Future[None]") -> None:
    if not turn.done():
        turn.set_result(None)


def caller_of(call: Call) -> str:
    """Whose refusals take turns with those of others."""
    return call.principal.tenant_id if call.principal is not None else network_of(call.address)
