"""Shadows: calls that were answered are scored by another version too, beside the serving and never in its way."""

import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from threading import Event, Thread

from gatehouse.call import Call, Kept
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.lifecycle import Endpoints
from gatehouse.migration.shadow_sums import ShadowDay, ShadowSums
from gatehouse.server.shadow_book import ShadowBook, sums_of
from gatehouse.server.shadow_pairs import Pairs, Target, targets_of
from gatehouse.server.shadow_process import ShadowProcess
from gatehouse.server.shadow_queue import Answered, ShadowCall, ShadowQueue, reckoned_bytes
from gatehouse.server.shadow_wire import Compared, Pair, Prepare, Result, Score, Silence, Unusable, parts_of
from gatehouse.server.tending import Duty, Tender

LOGGER = logging.getLogger("gatehouse.shadows")
SECONDS_A_DAY = 86_400
TICK_S = 0.05
"""Calls gather for so long, so that one of them costs next to nothing."""
IDLE_TICK_S = 0.5
"""While no endpoint has a shadow."""
ROUND_S = 0.5
FLUSH_EVERY_S = 2.0
LOAD_S = 60.0
SCORE_S = 10.0
ROW_S = 0.001
"""More for each row of a batch."""


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
        score_s: float = SCORE_S,
        monotonic: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._endpoints = endpoints
        self._process = process
        self._book = book
        self.score_s = score_s
        self._monotonic = monotonic
        self._draw = draw
        self._queue = ShadowQueue()
        self.pairs = Pairs(monotonic)
        self._targets: Mapping[tuple[str, str], Target] = {}
        self._stopping = Event()
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
        endpoints = self._endpoints.all()
        self._targets = targets_of(endpoints, self._endpoints.now())
        self._count_dropped()
        self.pairs.keep({pair for endpoint in endpoints for pair in self._pairs_of(endpoint)})
        if not self._targets:
            self._drop_all()
            self._process.end()
            return
        for endpoint in endpoints:
            for pair in self._pairs_of(endpoint)[:1]:
                self._prepare(pair)  # before the first call comes
        ends_at = self._monotonic() + ROUND_S
        while not self._stopping.is_set() and self._monotonic() < ends_at and (batch := self._queue.next()):
            try:
                self._compare(batch)
            except Exception:
                self._count(self._pair(batch[0].of), batch, ShadowSums(calls=1, failed=1))
                raise
            finally:
                self._queue.done(batch)

    def _pairs_of(self, endpoint: Endpoint) -> list[Pair]:
        """That of its stable version, then that of its canary."""
        versions = [version for version in (endpoint.stable_version, endpoint.canary_version) if version is not None]
        pairs = [self._pair(Answered(endpoint.model, endpoint.api_version, version)) for version in versions]
        return [pair for pair in pairs if pair is not None]

    def _pair(self, of: Answered) -> Pair | None:
        target = self._targets.get((of.model, of.api_version))
        return None if target is None or target[1] == of.version else Pair(*of, *target)

    def _compare(self, batch: list[ShadowCall]) -> None:
        pair = self._pair(batch[0].of)
        if pair is None:  # it has no shadow any more
            return
        if self.pairs.paused(pair):
            self._count(pair, batch, ShadowSums(calls=1, dropped=1))
            return
        if not self._prepare(pair):
            self._count(pair, batch, ShadowSums(calls=1, failed=1))
            return
        owners = list(dict.fromkeys((call.tenant_id, call.day) for call in batch))
        sums = self._scored(pair, batch, owners)
        if sums is None:
            stopped = self._stopping.is_set()
            self._count(pair, batch, ShadowSums(calls=1, dropped=1) if stopped else ShadowSums(calls=1, failed=1))
            return
        for (tenant_id, day), each in zip(owners, sums, strict=True):
            self._book.add(_key(pair, tenant_id, day), each)

    def _scored(self, pair: Pair, batch: list[ShadowCall], owners: list[tuple[str, int]]) -> list[ShadowSums] | None:
        """What the calls of each owner came to; None where the process did not say so."""
        places = {owner: place for place, owner in enumerate(owners)}
        calls = tuple((places[call.tenant_id, call.day], len(call.values)) for call in batch)
        parts = parts_of([call.values for call in batch])
        columns = batch[0].scores.shape[1] if batch[0].scores.ndim > 1 else 0
        sizes = tuple(len(part) for part in parts)
        question = Score(pair, calls, batch[0].values.dtype != object, sizes, columns)
        scores = parts_of([call.scores for call in batch])
        rows = sum(rows for _, rows in calls)
        try:
            reply = self._process.ask(question, [*parts, *scores], self.score_s + ROW_S * rows)
        except Silence as silence:
            self._note_gone(pair, f"it did not answer ({silence})")
            return None
        sums = self._believed(reply.results, calls, len(owners)) if isinstance(reply, Compared) else None
        if sums is None:
            self._process.end()
            self._note_gone(pair, "what it answered cannot be true")
            return None
        self.pairs.note_scored(pair)
        return sums

    def _believed(self, results: Sequence[Result], calls: tuple[tuple[int, int], ...], owners: int) -> list[ShadowSums] | None:
        """One for each owner; None where one of them cannot be true."""
        if len(results) != owners:
            return None
        sent = [[0, 0] for _ in range(owners)]
        for owner, rows in calls:
            sent[owner][0] += 1
            sent[owner][1] += rows
        sums = [sums_of(result, *own) for result, own in zip(results, sent, strict=True)]
        return None if None in sums else [each for each in sums if each is not None]

    def _prepare(self, pair: Pair) -> bool:
        """Have it loaded; whether it is."""
        if self.pairs.ready(pair):
            return True
        if self.pairs.paused(pair) or self._stopping.is_set():
            return False
        keep = tuple({pair, *(each for endpoint in self._endpoints.all() for each in self._pairs_of(endpoint))})
        try:
            reply = self._process.ask(Prepare(pair, keep), [], LOAD_S)
        except Silence as silence:
            self._note_gone(pair, f"it could not be loaded ({silence})")
            return False
        if isinstance(reply, Unusable):
            self.pairs.note_failed(pair, reply.reason)
            return False
        self.pairs.note_ready(pair)
        return True

    def _note_gone(self, pair: Pair, reason: str) -> None:
        self.pairs.note_process_gone()
        if not self._stopping.is_set():
            self.pairs.note_failed(pair, reason)

    def _count(self, pair: Pair | None, batch: list[ShadowCall], one: ShadowSums) -> None:
        """Each call of the batch comes to the same; without a pair there is no shadow any more, and nothing to count."""
        if pair is None:
            return
        for call in batch:
            self._book.add(_key(pair, call.tenant_id, call.day), ShadowSums(one.calls, one.dropped, one.failed))

    def _count_dropped(self) -> None:
        for (of, tenant_id, day), calls in self._queue.take_dropped().items():
            pair = self._pair(of)
            if pair is not None:
                self._book.add(_key(pair, tenant_id, day), ShadowSums(calls=calls, dropped=calls))

    def _drop_all(self) -> None:
        while batch := self._queue.next():
            self._count(self._pair(batch[0].of), batch, ShadowSums(calls=1, dropped=1))
            self._queue.done(batch)
        self._count_dropped()


def _key(pair: Pair, tenant_id: str, day: int) -> ShadowDay:
    return ShadowDay(tenant_id, pair.model, pair.api_version, pair.other_version, day)
