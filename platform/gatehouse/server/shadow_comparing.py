"""Has calls compared by the process of the shadows, and writes down what they came to: each call once, whatever happens."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from threading import Event
from typing import Literal

from gatehouse.migration.shadow_sums import ShadowDay, ShadowSums
from gatehouse.server.shadow_book import ShadowBook, sums_of
from gatehouse.server.shadow_pairs import Pairs
from gatehouse.server.shadow_process import ShadowProcess
from gatehouse.server.shadow_queue import ShadowCall
from gatehouse.server.shadow_wire import Compared, Pair, Prepare, Reply, Result, Score, Silence, Unusable, parts_of

LOAD_S = 60.0
SCORE_S = 10.0
ROW_S = 0.001
"""More for each row of a batch."""
APART = 0.5
"""The part of its time that the process may spend on calls that raise together."""
AGAIN = 3.0
"""So many times that time, halves are asked again after a batch that was answered with silence."""
Outcome = Literal["failed", "dropped"]
Calls = list[ShadowCall]


class Comparing:
    """Of one thread, but for `stopping`. `score_s`: the process is killed where it takes longer for a batch."""

    def __init__(
        self,
        process: ShadowProcess,
        book: ShadowBook,
        *,
        stopping: Event | None = None,
        score_s: float = SCORE_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._process = process
        self._book = book
        self._stopping = stopping or Event()
        self.score_s = score_s
        self._monotonic = monotonic
        self.pairs = Pairs(monotonic)

    def prepare(self, pair: Pair) -> Outcome | None:
        """Have it loaded. None where it is; else what becomes of its calls: they fail where the version itself is at fault."""
        if not self._process.running:
            self._process.end()
            self.pairs.note_process_gone()
        if self.pairs.ready(pair):
            return None
        if self.pairs.paused(pair) or self._stopping.is_set():
            return "dropped"
        try:
            reply = self._process.ask(Prepare(pair, (pair, *self.pairs.all_ready())), [], LOAD_S)
        except Silence as silence:
            self._rest(pair, f"it could not be loaded ({silence})")
            return "dropped"
        if isinstance(reply, Unusable):
            self._rest(pair, reply.reason)
            return "failed"
        self.pairs.note_ready(pair)
        return None

    def compare(self, pair: Pair, batch: Calls) -> None:
        """After a silence the halves are asked again, of a new process, for a while: only a call that is alone with it has failed."""
        pieces = deque([batch])
        ends_at = self._monotonic() + AGAIN * self.score_s
        trouble: str | None = None
        try:
            while pieces:
                outcome = self.prepare(pair) if pieces[0] is batch or self._monotonic() < ends_at else "dropped"
                if outcome is None:
                    found = self._compare_first(pair, pieces)
                    trouble = trouble or found
                else:
                    self._count_all(pair, pieces, outcome)
        except Exception:
            self._count_all(pair, pieces, "dropped")
            raise
        if trouble == "":
            self.pairs.note_scored(pair)
        elif trouble and not self.pairs.paused(pair):
            self._rest(pair, trouble)

    def count(self, pair: Pair | None, calls: Iterable[ShadowCall], outcome: Outcome) -> None:
        """Each of the calls comes to the same; without a pair there is no shadow any more, and nothing to count."""
        for call in calls if pair is not None else ():
            sums = ShadowSums(calls=1, failed=1) if outcome == "failed" else ShadowSums(calls=1, dropped=1)
            self.add(pair, call.tenant_id, call.day, sums)

    def add(self, pair: Pair | None, tenant_id: str, day: int, sums: ShadowSums) -> None:
        """Write down what calls of a tenant came to, if they still have a shadow."""
        if pair is not None:
            self._book.add(ShadowDay(tenant_id, pair.model, pair.api_version, pair.other_version, day), sums)

    def _compare_first(self, pair: Pair, pieces: deque[Calls]) -> str:
        """Of the pieces; in its place come the halves where there was silence. Returns what there is to complain of."""
        piece = pieces[0]
        try:
            trouble = self._compare(pair, piece)
        except Silence as silence:
            pieces.popleft()
            middle = len(piece) // 2
            if self._stopping.is_set():
                self.count(pair, piece, "dropped")
            elif middle == 0:
                self.count(pair, piece, "failed")
            else:
                pieces.extend((piece[:middle], piece[middle:]))
            return f"it did not answer ({silence})"
        pieces.popleft()
        return trouble

    def _compare(self, pair: Pair, piece: Calls) -> str:
        """Raises Silence, also for an answer that cannot be true; then nothing is written down."""
        owners = list(dict.fromkeys((call.tenant_id, call.day) for call in piece))
        places = {owner: place for place, owner in enumerate(owners)}
        calls = tuple((places[call.tenant_id, call.day], len(call.values)) for call in piece)
        reply = self._scored(pair, piece, calls)
        if isinstance(reply, Unusable):
            self.count(pair, piece, "dropped")
            return reply.reason
        sums = _believed(reply.results, calls, len(owners)) if isinstance(reply, Compared) else None
        if sums is None:
            self._process.end()
            raise Silence("what it answered cannot be true")
        for owner, each in zip(owners, sums, strict=True):
            self.add(pair, *owner, each)
        if any(each.dropped for each in sums):
            return "it raised on too many calls to find out on which"
        return ""

    def _scored(self, pair: Pair, piece: Calls, calls: tuple[tuple[int, int], ...]) -> Reply:
        values, scores = piece[0].values, piece[0].scores
        parts = parts_of([call.values for call in piece])
        columns = scores.shape[1] if scores.ndim > 1 else 0
        question = Score(pair, calls, values.dtype != object, tuple(map(len, parts)), columns, APART * self.score_s)
        rows = sum(rows for _, rows in calls)
        return self._process.ask(question, [*parts, *parts_of([call.scores for call in piece])], self.score_s + ROW_S * rows)

    def _rest(self, pair: Pair, reason: str) -> None:
        if not self._stopping.is_set():
            self.pairs.note_failed(pair, reason)

    def _count_all(self, pair: Pair, pieces: deque[Calls], outcome: Outcome) -> None:
        while pieces:
            self.count(pair, pieces.popleft(), outcome)


def _believed(results: Sequence[Result], calls: tuple[tuple[int, int], ...], owners: int) -> list[ShadowSums] | None:
    """One for each owner; None where one of them cannot be true."""
    if len(results) != owners:
        return None
    sent = [[0, 0] for _ in range(owners)]
    for owner, rows in calls:
        sent[owner][0] += 1
        sent[owner][1] += rows
    sums = [sums_of(result, *own) for result, own in zip(results, sent, strict=True)]
    return None if None in sums else [each for each in sums if each is not None]
