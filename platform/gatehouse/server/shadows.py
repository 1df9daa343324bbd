"""Shadows: calls that were answered are scored by another version too, beside the serving and never in its way."""

import logging
import random
import time
from collections.abc import Callable
from threading import Event, Thread

from gatehouse.call import Call, Kept
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.lifecycle import Endpoints
from gatehouse.migration.shadow_sums import ShadowSums
from gatehouse.server.shadow_book import ShadowBook
from gatehouse.server.shadow_comparing import Comparing
from gatehouse.server.shadow_process import ShadowProcess
from gatehouse.server.shadow_queue import Answered, ShadowCall, ShadowQueue, reckoned_bytes
from gatehouse.server.shadow_targets import Targets
from gatehouse.server.tending import Duty, Tender

LOGGER = logging.getLogger("gatehouse.shadows")
SECONDS_A_DAY = 86_400
TICK_S = 0.05
"""Calls gather for so long, so that one of them costs next to nothing."""
IDLE_TICK_S = 0.5
"""While no endpoint has a shadow."""
ROUND_S = 0.5
FLUSH_EVERY_S = 2.0


class Shadows:
    """`kept` and `take` belong to the event loop; everything else happens in a thread, which talks to the process that scores.

    What cannot be compared within the budget (see ShadowQueue) is dropped and counted. Nothing here raises into a call.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        process: ShadowProcess,
        book: ShadowBook,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._process = process
        self._book = book
        self._monotonic = monotonic
        self._draw = draw
        self._queue = ShadowQueue()
        self._targets = Targets(endpoints)
        self._stopping = Event()
        self.comparing = Comparing(process, book, stopping=self._stopping, monotonic=monotonic)
        self._failing = False
        self._thread = Thread(target=self._run, name="shadows", daemon=True)
        self._tender = Tender("figures of shadows", "they wait in memory", [Duty(FLUSH_EVERY_S, book.flush)])

    @property
    def waiting(self) -> int:
        """Calls that wait or are being scored."""
        return self._queue.calls

    @property
    def pid(self) -> int | None:
        """Of the process that scores; None while there is none."""
        return self._process.pid

    def kept(self, endpoint: Endpoint) -> Kept | None:
        """Where a call of an endpoint with a shadow puts what is scored again; None where it is not in the share."""
        shadow = endpoint.shadow
        return Kept() if shadow is not None and self._draw() * 100 < shadow.percent and endpoint.bridged_to is None else None

    def take(self, call: Call, endpoint: Endpoint, kept: Kept) -> None:
        """A call that has been answered, some microseconds of it."""
        if call.replayed or kept.scores is None or call.principal is None or call.model_version is None:
            return
        size = reckoned_bytes(kept.values, kept.scores, call.bytes_in)
        of = Answered(endpoint.model, endpoint.api_version, call.model_version)
        day = int(time.time()) // SECONDS_A_DAY
        self._queue.put(ShadowCall(of, call.principal.tenant_id, day, kept.values, kept.scores, size))

    def start(self) -> None:
        self._thread.start()
        self._tender.start()

    def close(self) -> None:
        """End at once: what is not compared by now is dropped, and what was is written down. Blocks for the database alone."""
        self._stopping.set()
        self._process.close()
        if self._thread.is_alive():
            self._thread.join()
        self._book.hurry()
        self._tender.stop()
        self._book.close()

    def _run(self) -> None:
        while not self._stopping.wait(TICK_S if self._targets else IDLE_TICK_S):
            try:
                self._round()
                self._failing = False
            except Exception as error:  # the thread must outlive whatever it is: the next round tries again
                if not self._failing:  # its words may hold what was sent
                    LOGGER.warning("shadows are not compared now (%s)", type(error).__name__)
                self._failing = True
        self._drop_all()
        self._process.end()

    def _round(self) -> None:
        if self._targets.look():
            self.comparing.pairs.keep(self._targets.pairs)
        self._count_dropped()
        if not self._targets:
            self._drop_all()
            self._process.end()
            return
        for pair in self._targets.stable:
            self.comparing.prepare(pair)  # before the first call comes
        ends_at = self._monotonic() + ROUND_S
        while not self._stopping.is_set() and self._monotonic() < ends_at and (batch := self._queue.next()):
            try:
                self._compare(batch)
            finally:
                self._queue.done(batch)

    def _compare(self, batch: list[ShadowCall]) -> None:
        pair = self._targets.pair(batch[0].of)
        if pair is not None:  # else it has no shadow any more
            self.comparing.compare(pair, batch)

    def _count_dropped(self) -> None:
        for (of, tenant_id, day), calls in self._queue.take_dropped().items():
            self.comparing.add(self._targets.pair(of), tenant_id, day, ShadowSums(calls=calls, dropped=calls))

    def _drop_all(self) -> None:
        while batch := self._queue.next():
            self.comparing.count(self._targets.pair(batch[0].of), batch, "dropped")
            self._queue.done(batch)
        self._count_dropped()
