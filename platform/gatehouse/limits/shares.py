"""Rate limits without Redis: each of N processes lets in 1/N of every limit, so that the total is never exceeded.

Why it is not, in any span: a process holds at most 1/N of a burst and gains 1/N of the rate. As long as what all processes
reckon with (1/N each) is at most 1 in sum, all together hold at most one burst at the start of the span and gain at most the rate
during it. It stays so because

- a process that joins serves only when all others reckon with it, and starts with nothing left of any limit;
- when a process leaves, what it had left is gone, and the others keep what they have: a larger share is not a fuller one;
- when shares become smaller, each keeps what it has left, as far as the smaller burst holds it.

Bursts are rounded down to whole units and rates are exact fractions.
"""

from collections import deque
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

from gatehouse.limits.rate import Decision, MemoryRates, RateLimit

CUTS_KEPT = 2048


class _Cut(NamedTuple):
    """What is asked of the shares."""

    asks: Sequence[tuple[RateLimit, int]]
    parts: list[tuple[RateLimit, int]]
    closed: RateLimit | None
    """The limit that could never let its part in."""


class ShareRates:
    """The part of every limit that this process may let in, of so many processes. `clock_us` is monotonic."""

    def __init__(self, clock_us: Callable[[], int], processes: int = 1) -> None:
        self._clock_us = clock_us
        self._of = max(1, processes)
        self._counts: deque[tuple[int, int]] = deque()
        """Changes of the number and when each was, not yet taken in: a process that decides on nothing meanwhile must miss none."""
        self._cuts: dict[int, _Cut] = {}
        """By the `id` of what was asked, which an entry holds: no other thing has it meanwhile."""
        self.memory = MemoryRates(clock_us)
        """Decides on shares; on whole limits as long as `alone`."""

    def __len__(self) -> int:
        """How many limits are remembered."""
        return len(self.memory)

    @property
    def alone(self) -> bool:
        """Whether this process was the only one when something was last decided here."""
        return self._of == 1

    def count(self, processes: int) -> None:
        """So many there are from now on. From any thread."""
        self._counts.append((self._clock_us(), max(1, processes)))

    def decide(self, asks: Sequence[tuple[RateLimit, int]], *, returnable: bool = False) -> Decision:
        """As MemoryRates does, of each limit's share. `refused_by` is a share, unless the whole limit could never let so much in."""
        while self._counts:
            self._resize(*self._counts.popleft())
        if self._of == 1:
            return self.memory.decide(asks, returnable=returnable)
        cut = self._cuts.get(id(asks))
        if cut is None:
            cut = self._cut(asks)
        if cut.closed is None:
            return self.memory.decide(cut.parts, returnable=returnable)
        looked = self.memory.decide([(limit, 0) for limit, _ in cut.parts])
        return looked._replace(admitted=False, refused_by=cut.closed, wait_us=None)

    def _cut(self, asks: Sequence[tuple[RateLimit, int]]) -> _Cut:
        cut = _Cut(asks, [(limit.share(1, self._of), amount) for limit, amount in asks], never_lets_in(asks))
        if isinstance(asks, tuple):  # it cannot change, and a principal asks for the same one in most of its calls
            if len(self._cuts) >= CUTS_KEPT:
                del self._cuts[next(iter(self._cuts))]
            self._cuts[id(asks)] = cut
        return cut

    def give_back(self, decision: Decision) -> None:
        """Take back what a returnable decision let in, once."""
        self.memory.give_back(decision)

    def start_spent(self, at_us: int | None = None) -> None:
        """Nothing is left of any limit at that moment, now unless given: others may have let in what is not known here."""
        self.memory.forget(self._clock_us() if at_us is None else at_us)

    def _resize(self, at_us: int, of: int) -> None:
        if of != self._of:
            self.memory.resize(lambda limit: (limit.whole or limit).share(1, of), Fraction(self._of, of), at_us)
            self._of = of
            self._cuts.clear()


def never_lets_in(asks: Sequence[tuple[RateLimit, int]]) -> RateLimit | None:
    """The first limit that could never let its part in, however long one waits and however it is shared."""
    return next((limit for limit, amount in asks if amount and (limit.closed or amount > limit.burst)), None)
