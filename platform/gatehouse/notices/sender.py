"""Delivers what is due, in a thread of its own beside the calls: targets at once, the notices of one target one after the other."""

import asyncio
import logging
import random
import ssl
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from socket import SOCK_STREAM, getaddrinfo
from threading import Thread
from time import monotonic
from typing import Any, TypeVar

from gatehouse.db.session import GONE
from gatehouse.notices.courier import Courier, NotDelivered, Resolve
from gatehouse.notices.signature import signed_headers
from gatehouse.notices.store import Backlog, Delivery, DeliveryStore, Outcome
from gatehouse.notices.target_url import read_target
from gatehouse.notices.targets import sealed_name
from gatehouse.principal import Network

LOG = logging.getLogger("gatehouse.notices")
TICK_S = 1.0
BACKLOG_EVERY_S = 5.0
AT_ONCE = 64
"""Targets of one process."""
RESOLVERS = 16
STOP_S = 3.0
"""For what is under way when a process ends; it is sent again otherwise."""
GONE_STATUS = 410
T = TypeVar("T")
UNREADABLE = "its secret does not open under GATEHOUSE_SECRET_KEY: gatehouse notice-targets rotate makes another"

OpenSecret = Callable[[str, bytes], str | None]
"""What was sealed under a name; None where it does not open."""


class Sender:
    """`round` belongs to one event loop; counts may be read anywhere. `resolve` and `tls`: the system's unless given."""

    def __init__(
        self,
        store: DeliveryStore,
        open_secret: OpenSecret,
        allowed: Sequence[Network],
        *,
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
        tick_s: float = TICK_S,
    ) -> None:
        self.delivered = 0
        self.failed = 0
        """Attempts."""
        self.given_up = 0
        self.backlog = Backlog(0, 0)
        self._store = store
        self._open_secret = open_secret
        self._allowed = allowed
        self._resolve = resolve or self._resolved
        self._tls = tls
        self._tick_s = tick_s
        self._courier: Courier | None = None
        self._under_way: set[asyncio.Task[None]] = set()
        self._database = ThreadPoolExecutor(2, thread_name_prefix="notices-database")
        self._resolvers = ThreadPoolExecutor(RESOLVERS, thread_name_prefix="notices-resolver")
        self._backlog_at = 0.0
        self._failing = False
        self._stopping = asyncio.Event()
        self._loop: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = Thread(target=lambda: asyncio.run(self._run()), name="notices", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Blocks until what is under way is done, for a few seconds at most."""
        if self._thread.is_alive():
            self._loop.result().call_soon_threadsafe(self._stopping.set)
            self._thread.join()
        self._database.shutdown()
        self._resolvers.shutdown(wait=False, cancel_futures=True)

    async def round(self) -> None:
        """Begin with what is due, as far as there is room. Raises what a database that is gone raises."""
        room = AT_ONCE - len(self._under_way)
        for delivery in await self._in_database(self._store.claim, room) if room else ():
            task = asyncio.create_task(self._deliver(delivery))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        if monotonic() >= self._backlog_at:
            self._backlog_at = monotonic() + BACKLOG_EVERY_S
            self.backlog = await self._in_database(self._store.backlog)

    async def finish(self, seconds: float | None = None) -> None:
        """Wait for what is under way; end it after `seconds`."""
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _run(self) -> None:
        self._loop.set_result(asyncio.get_running_loop())
        while not self._stopping.is_set():
            await self._round_or_note()
            try:
                await asyncio.wait_for(self._stopping.wait(), self._tick_s)
            except TimeoutError:
                continue
        await self.finish(STOP_S)

    async def _round_or_note(self) -> None:
        try:
            await self.round()
            self._failing = False
        except Exception as error:  # the thread must outlive whatever it is: the next round tries again
            if not self._failing:  # once for each outage
                LOG.warning("notices wait (%s)", type(error).__name__, exc_info=not isinstance(error, GONE))
            self._failing = True

    async def _deliver(self, delivery: Delivery) -> None:
        outcome = await self._attempt(delivery)
        try:
            due_at = await self._in_database(self._store.settle, delivery, outcome, random.random())  # noqa: S311 - jitter
        except GONE as error:
            LOG.warning("notice %s: how it went could not be written down (%s): it is sent again", delivery.notice_id, type(error).__name__)
            return
        self.delivered += outcome.delivered
        self.failed += not outcome.delivered
        if not outcome.delivered and due_at is None:
            self.given_up += 1
            LOG.warning("notice %s is given up after three days: %s", delivery.notice_id, outcome.said)

    async def _attempt(self, delivery: Delivery) -> Outcome:
        """One POST, signed by each secret that is good."""
        opened = [self._open_secret(sealed_name(delivery.tenant_id), sealed) for sealed in delivery.secrets_sealed]
        secrets = [secret for secret in opened if secret is not None]
        if not secrets:
            return Outcome(False, UNREADABLE)
        body = delivery.body.encode()
        headers = signed_headers(secrets, delivery.notice_id, int(delivery.at.timestamp()), body)
        try:
            status = await self._sent_by().post(read_target(delivery.url), headers, body)
        except NotDelivered as error:
            return Outcome(False, str(error))
        except Exception as error:  # whatever it is: the lease must be given back
            LOG.exception("notice %s", delivery.notice_id)
            return Outcome(False, type(error).__name__)
        redirect = ", a redirect, which is never followed" if 300 <= status < 400 else ""
        return Outcome(200 <= status < 300, f"{status}{redirect}", gone=status == GONE_STATUS)

    def _sent_by(self) -> Courier:
        if self._courier is None:  # the system's certificates take some ms to read, which a process that sends nothing need not
            self._courier = Courier(self._allowed, self._resolve, self._tls or ssl.create_default_context())
        return self._courier

    async def _resolved(self, host: str, port: int) -> Sequence[str]:
        """By the system's resolver, in a thread of ours: one that hangs holds up no database."""
        found = await asyncio.get_running_loop().run_in_executor(self._resolvers, lambda: getaddrinfo(host, port, type=SOCK_STREAM))
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    async def _in_database(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._database, work, *arguments)
