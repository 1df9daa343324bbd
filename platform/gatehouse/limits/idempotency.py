"""Calls that carry an Idempotency-Key: claimed before they take anything, metered once however often they are repeated."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from typing import TypeVar

from gatehouse.db.session import GONE
from gatehouse.errors import IdempotencyUnavailable
from gatehouse.limits.idempotency_key import Digester
from gatehouse.limits.idempotency_store import Claim, IdempotencyStore, Keyed
from gatehouse.limits.keyed_calls import KeyedCalls

LOG = logging.getLogger("gatehouse.limits")
DEADLINE_S = 5.0
RETRY_AFTER_S = "1"
C = TypeVar("C", bound="Claim | None")
PRUNED_AT_ONCE = 500
BATCHES_A_ROUND = 10


class Idempotency:
    """Used on the event loop, but for `prune`; the database is asked in `threads`. `new_event_id` makes ids of usage events."""

    def __init__(
        self,
        store: IdempotencyStore,
        calls: KeyedCalls,
        digester: Digester,
        threads: Executor,
        new_event_id: Callable[[], str],
        *,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._store = store
        self._calls = calls
        self._digester = digester
        self._threads = threads
        self._new_event_id = new_event_id
        self._deadline_s = deadline_s
        self.replayed = 0
        """Calls that were answered again and not metered, since the start."""

    async def claim(self, tenant_id: str, endpoint: str, key: str, body: Sequence[bytes], model_version: str) -> Claim:
        """One write into the database. Raises IdempotencyInProgress, IdempotencyKeyReused, IdempotencyUnavailable."""

        def work() -> Claim:
            digests = self._digester.digests(tenant_id, endpoint, key, body)
            return self._store.claim(Keyed(digests, tenant_id, endpoint, model_version, self._new_event_id()))

        return await self._in_thread(work)

    async def find(self, tenant_id: str, endpoint: str, key: str, body: Sequence[bytes]) -> Claim | None:
        """The same of a repeat; None for a first call, which claims nothing."""
        return await self._in_thread(lambda: self._store.find(self._digester.digests(tenant_id, endpoint, key, body)))

    async def _in_thread(self, work: Callable[[], C]) -> C:
        claiming = asyncio.get_running_loop().run_in_executor(self._threads, work)
        try:
            async with asyncio.timeout(self._deadline_s):
                return await asyncio.shield(claiming)
        except (asyncio.CancelledError, TimeoutError) as error:
            claiming.add_done_callback(self._put_back)  # the thread goes on, and nobody is left to use what it claims
            if isinstance(error, TimeoutError):
                raise _unavailable("idempotency_database_hangs") from None
            raise
        except GONE as error:
            raise _unavailable("idempotency_database_gone") from error

    @asynccontextmanager
    async def holding(self, claim: Claim) -> AsyncIterator[None]:
        """The call is answered when the block ends; one that fails gives its claim back, so that the next is a first call again."""
        try:
            yield
        except asyncio.CancelledError:
            # the server ends: whether the call's event was written down tells whether it was answered
            self._calls.end(claim.event_id, answered=False)
            raise
        except BaseException:
            await self._release(claim)
            raise
        if claim.replayed:
            self.replayed += 1
        else:
            self._calls.end(claim.event_id, answered=True)

    def prune(self) -> None:
        """Take away claims of more than a day ago. Blocks; raises what a database that is gone raises."""
        for _ in range(BATCHES_A_ROUND):
            if self._store.prune(PRUNED_AT_ONCE) < PRUNED_AT_ONCE:
                return

    async def _release(self, claim: Claim) -> None:
        if claim.replayed:
            return
        releasing = asyncio.get_running_loop().run_in_executor(self._threads, self._release_now, claim)
        await asyncio.wait((releasing,), timeout=self._deadline_s)

    def _release_now(self, claim: Claim) -> None:
        try:
            self._store.release(claim)
        except GONE as error:
            LOG.warning("the claim of an Idempotency-Key stays until it is taken over (%s)", type(error).__name__)
        finally:
            self._calls.end(claim.event_id, answered=False)

    def _put_back(self, claiming: asyncio.Future[C]) -> None:
        if claiming.cancelled() or claiming.exception() is not None:
            return
        claim = claiming.result()
        if claim is not None and not claim.replayed:
            self._threads.submit(self._release_now, claim)


def _unavailable(reason: str) -> IdempotencyUnavailable:
    return IdempotencyUnavailable(reason=reason, headers=[("Retry-After", RETRY_AFTER_S)])
