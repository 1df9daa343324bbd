"""Rate limits by GCRA, exact in integers: all limits of one decision at once, all or nothing."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from operator import itemgetter
from typing import Literal, NamedTuple, TypeAlias

LimitScope = Literal["tenant", "key"]
LimitUnit = Literal["requests", "rows"]
DECISIONS_PER_SWEEP = 64
"""On limits that are not remembered, or not as they are now: no others can add an entry."""
CHECKED_PER_SWEEP = 512
"""More than twice the entries that can be added between two sweeps, so that old ones never pile up."""
SHARES_KEPT = 8
UNUSED_KEPT = 4096
MOST_RETURNS = 2_000
"""Remembered of one limit. A claim since which more was given back is not given back any more: what stays taken comes again by its rate."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `burst + count * t / period_us` in any span of t microseconds, counted under `id`.

    Time is counted in ticks of 1/`ticks` microsecond, in which the share of one unit is a whole number: nothing is ever
    rounded, so neither one too many nor one too few is let in. `count` or `burst` of 0 closes the limit.
    """

    id: str
    name: str
    scope: LimitScope
    unit: LimitUnit
    count: int
    period_us: int
    burst: int
    whole: "RateLimit | None" = field(default=None, repr=False, compare=False)
    """The limit of the plan that this is a share of."""
    policy: str = field(init=False, repr=False, compare=False)
    """What `RateLimit-Policy` says of it: of the plan's own limit, however it is shared."""
    state: str = field(init=False, repr=False, compare=False)
    """What `RateLimit` says of it, to be filled in: what is left, and the seconds until its burst is whole again."""
    closed: bool = field(init=False, repr=False)
    ticks: int = field(init=False, repr=False)
    """Ticks in a microsecond."""
    ticks_a_second: int = field(init=False, repr=False, compare=False)
    cost: int = field(init=False, repr=False)
    """Ticks of one request or row."""
    depth: int = field(init=False, repr=False)
    """Ticks of the whole burst."""
    most: int = field(init=False, repr=False, compare=False)
    """Ticks that may be missing until its burst is whole: all of them, and of a closed limit fewer than none."""
    _shares: "dict[tuple[int, int], RateLimit]" = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        if self.count < 0 or self.burst < 0 or self.period_us < 1:
            raise ValueError("a limit needs count and burst of 0 or more and a period of 1 µs or more")
        divisor = math.gcd(self.count, self.period_us)
        closed = self.count == 0 or self.burst == 0
        cost = self.period_us // divisor
        # a frozen dataclass has no other way to keep what follows from its own fields
        for name, value in (("closed", closed), ("ticks", max(1, self.count // divisor)), ("cost", cost), ("depth", self.burst * cost)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "policy", self.whole.policy if self.whole else self._policy())
        object.__setattr__(self, "state", f'"{self.name.replace("%", "%%")}";r=%d;t=%d')
        object.__setattr__(self, "most", -1 if closed else self.depth)
        object.__setattr__(self, "ticks_a_second", self.ticks * 1_000_000)

    def _policy(self) -> str:
        """draft-ietf-httpapi-ratelimit-headers-10: its burst and the seconds in which a spent one is whole again."""
        unit = "" if self.unit == "requests" else f';qu="{self.unit}"'  # requests are the draft's default unit
        return f'"{self.name}";q={self.burst}{unit}{"" if self.closed else f";w={self.window_s}"}'

    def share(self, part: int, of: int) -> "RateLimit":
        """`part`/`of` of this limit, never more: the exact share of the rate, and of the burst what is whole of it."""
        if part >= of:
            return self
        share = self._shares.get((part, of))
        if share is None:
            if len(self._shares) >= SHARES_KEPT:
                self._shares.clear()
            share = replace(self, count=self.count * part, period_us=self.period_us * of, burst=self.burst * part // of, whole=self)
            self._shares[part, of] = share
        return share

    def left(self, backlog: int) -> int:
        """What it would still let in, where so many ticks are missing until its burst is whole."""
        return 0 if self.closed else (self.depth - backlog) // self.cost

    @property
    def window_s(self) -> int:
        """Seconds in which a spent burst is whole again, rounded up; 0 when it never is."""
        return 0 if self.closed else -(-self.depth // (self.ticks * 1_000_000))


def carried(old: RateLimit, new: RateLimit, backlog: int) -> int:
    """The backlog (ticks of `new`) of a limit that was edited: whole units that were left are left, as far as the new burst holds them.

    So an edit lets nothing in, however often calls by the old limit and by the new one alternate while it becomes known.
    """
    left = (old.depth - backlog) // old.cost
    return max(0, new.depth - left * new.cost)


Claim: TypeAlias = "tuple[_State, int, int, int, int]"
"""One limit's part of what a decision let in and may give back: its state, a number larger than those of the claims before it, its ticks,
when the burst was to be whole again right after it, and how much of the state's claims had been given back by then."""


class StoredClaim(NamedTuple):
    """What a decision in Redis took from one limit, as its script needs it to give it back."""

    limit: RateLimit
    cost: int
    """Ticks."""
    born: str
    number: str
    at_us: str
    backlog: str


@dataclass(slots=True)
class _State:
    """What is remembered of one limit."""

    limit: RateLimit
    full_at: int
    """When the burst is whole again, in ticks."""
    returned: int = 0
    """How many claims were given back."""
    returns: list[tuple[int, int]] = field(default_factory=list)
    """The last of them: their numbers and ticks."""

    def full_at_of(self, number: int, full_at: int, seen: int) -> int:
        """`full_at` of a claim, less what was given back since of claims before it; nothing is left of one that has seen too little."""
        first = self.returned - len(self.returns)
        if seen < first:
            return 0
        return full_at - sum([ticks for earlier, ticks in self.returns[seen - first :] if earlier < number])

    def take_back(self, number: int, ticks: int) -> None:
        """Of the claim of this number."""
        self.full_at -= ticks
        self.returned += 1
        self.returns.append((number, ticks))
        if len(self.returns) > MOST_RETURNS:
            del self.returns[: MOST_RETURNS // 2]


@dataclass(frozen=True, slots=True)
class _Past:
    """What limits without a state have left: they were spent, or became larger, at `at_us`, and have not been used since.

    They had filled for `filled_us` before (None: for ever) and then had `kept` of the new size. With no time they were spent.
    """

    at_us: int
    filled_us: int | None = 0
    kept: Fraction = Fraction(0)

    def backlog(self, limit: RateLimit, now_us: int) -> int:
        """Ticks until the burst is whole, never fewer than the truth."""
        backlog = limit.depth - (now_us - self.at_us) * limit.ticks
        if self.filled_us != 0:
            before = limit.depth if self.filled_us is None else min(limit.depth, self.filled_us * limit.ticks)
            backlog -= before * self.kept.numerator // self.kept.denominator
        return max(0, backlog)


class Decision(NamedTuple):
    """What came of asking some limits at once."""

    admitted: bool
    limits: tuple[RateLimit, ...]
    backlogs: tuple[int, ...]
    """Per limit, ticks from now until its burst is whole again."""
    refused_by: RateLimit | None = None
    """The limit that refuses with the longest wait; of the plan's own one, where that could never let so much in."""
    wait_us: int | None = 0
    """After exactly this time the same call passes, if nobody else calls; None when no wait is enough."""
    claims: tuple[Claim, ...] = ()
    """What `give_back` needs, where the decision was asked for as returnable."""
    stored: "tuple[StoredClaim, ...]" = ()
    """The same, where the decision was made in Redis."""

    def remaining(self) -> tuple[int, ...]:
        """What each limit would still let in now."""
        return tuple([limit.left(backlog) for limit, backlog in zip(self.limits, self.backlogs, strict=True)])


_LIMIT = itemgetter(0)
"""Of an ask."""
_tuple = tuple.__new__
"""Makes a Decision without the Python function that a NamedTuple has for it: each call needs two."""
_NOTHING = _State(RateLimit("", "nothing", "tenant", "requests", 0, 1, 0), 0)
"""Of a limit that nobody asks for."""


class MemoryRates:
    """The rates of one process, decided on one thread. `clock_us` is monotonic."""

    def __init__(self, clock_us: Callable[[], int]) -> None:
        self._clock_us = clock_us
        self._states: dict[str, _State] = {}
        self._past: _Past | None = None
        self._unused: dict[str, _State] = {}
        """Of limits of which nothing was used here and that are not whole yet: what follows from the past."""
        self._unchecked: list[str] = []
        self._until_sweep = DECISIONS_PER_SWEEP
        self._claimed = 0
        """Returnable decisions so far: they number their claims."""

    def __len__(self) -> int:
        """How many limits are remembered."""
        return len(self._states)

    def __contains__(self, id: str) -> bool:
        """Whether a limit is remembered."""
        return id in self._states

    def tidy(self) -> None:
        """Forget some of the limits that are whole again; `decide` does so now and then."""
        self._sweep(self._clock_us())

    def decide(self, asks: Sequence[tuple[RateLimit, int]], *, returnable: bool = False) -> Decision:
        """Let all of it in, or nothing. No two asks may share an id; an ask of 0 only looks.

        The rule (GCRA): what is let in makes the burst whole again so much later, and never later than a whole burst from now.
        """
        now_us, states = self._clock_us(), self._states
        backlogs: list[int] = []
        claims: list[Claim] = []
        new: list[_State] = []
        if returnable:
            self._claimed += 1
        for limit, amount in asks:
            try:
                state = states[limit.id]
            except KeyError:
                state = _NOTHING
            if state.limit is not limit:
                state = self._known(limit, now_us)
                if amount:
                    new.append(state)
            now = now_us * limit.ticks
            ticks = amount * limit.cost
            full_at = state.full_at
            if full_at < now:
                full_at = now
            full_at += ticks
            backlog = full_at - now
            if backlog > limit.most and (amount or not limit.closed):
                return self._refused(asks, now_us, len(backlogs), state)
            backlogs.append(backlog)
            state.full_at = full_at  # taken back where one of the next limits refuses
            if returnable and amount:
                claims.append((state, self._claimed, ticks, full_at, state.returned))
        for state in new:
            states[state.limit.id] = state
            self._unused.pop(state.limit.id, None)
        return _tuple(Decision, (True, tuple(map(_LIMIT, asks)), tuple(backlogs), None, 0, tuple(claims), ()))

    def _refused(self, asks: Sequence[tuple[RateLimit, int]], now_us: int, taken: int, first: _State) -> Decision:
        """By the limit with the longest wait, which is the smallest that suffices, or by the first one that could never let so much in.

        What the first `taken` limits have let in by then is taken back; `first` is the state of the next one, which refuses.
        """
        states, unused = self._states, self._unused
        for limit, amount in asks[:taken]:
            state = states.get(limit.id) or unused.get(limit.id)
            if state is not None and state.limit is limit:  # one that is not kept is made anew
                state.full_at -= amount * limit.cost
        refused_by: RateLimit | None = None
        wait_us: int | None = 0
        backlogs: list[int] = []
        for limit, amount in asks:
            state = states.get(limit.id) or unused.get(limit.id, first)
            if state.limit is not limit:
                state = self._known(limit, now_us)
            backlog = state.full_at - now_us * limit.ticks
            if backlog < 0:
                backlog = 0
            backlogs.append(min(limit.depth, backlog))
            if limit.closed or amount > limit.burst:
                if amount and wait_us is not None:
                    refused_by, wait_us = limit, None
            elif wait_us is not None and (wait := -((limit.depth - backlog - amount * limit.cost) // limit.ticks)) > wait_us:
                refused_by, wait_us = limit, wait
        return _tuple(Decision, (False, tuple(map(_LIMIT, asks)), tuple(backlogs), refused_by, wait_us, (), ()))

    def give_back(self, decision: Decision) -> None:
        """Take back what a returnable decision let in, once.

        Of the time that has passed since then, whatever had made room for others counts as used: nothing is let in twice.
        """
        now_us = self._clock_us()
        for state, number, ticks, full_at, seen in decision.claims:
            if self._states.get(state.limit.id) is not state:
                continue  # whole again since then, or another limit: nothing of it is left
            left = state.full_at_of(number, full_at, seen) - now_us * state.limit.ticks
            state.take_back(number, max(0, min(ticks, left)))

    def forget(self, spent_at_us: int) -> None:
        """Everything is as spent at that moment, which may lie ahead: what had been let in by then is not known."""
        self._states.clear()
        self._unused.clear()
        self._unchecked.clear()
        self._past = _Past(spent_at_us)

    def resize(self, size: Callable[[RateLimit], RateLimit], grown: Fraction, now_us: int) -> None:
        """All limits became `size` of what they were, `grown` times as large; what each had left stays, as far as the new one holds it."""
        self._unused.clear()
        for id, state in self._states.items():
            limit = size(state.limit)
            self._states[id] = _State(limit, self._carried(state, limit, now_us))
        if grown > 1:
            before = self._past
            filled_us = None if before is None else max(0, now_us - before.at_us)
            self._past = _Past(now_us if before is None else max(now_us, before.at_us), filled_us, 1 / grown)

    def _known(self, limit: RateLimit, now_us: int) -> _State:
        """What is remembered of a limit, be it by another object or as it was before an edit; a new state where there is nothing."""
        self._until_sweep -= 1
        if not self._until_sweep:
            self._sweep(now_us)
        state = self._states.get(limit.id)
        if state is None:
            return self._unused_state(limit, now_us)
        if state.limit is not limit and state.limit != limit:
            # kept at once: a refusal writes nothing, and a wait that is told must begin now
            state = self._states[limit.id] = _State(limit, self._carried(state, limit, now_us))
        state.limit = limit
        return state

    def _unused_state(self, limit: RateLimit, now_us: int) -> _State:
        now, past, state = now_us * limit.ticks, self._past, self._unused.get(limit.id)
        if past is None:
            return _State(limit, now)
        if state is None or state.limit is not limit:
            backlog = past.backlog(limit, now_us)
            state = _State(limit, now + backlog)
            if backlog:
                if len(self._unused) >= UNUSED_KEPT:
                    del self._unused[next(iter(self._unused))]
                self._unused[limit.id] = state
        return state

    def _carried(self, state: _State, limit: RateLimit, now_us: int) -> int:
        backlog = min(max(0, state.full_at - now_us * state.limit.ticks), state.limit.depth)
        return now_us * limit.ticks + carried(state.limit, limit, backlog)

    def _sweep(self, now_us: int) -> None:
        self._until_sweep = DECISIONS_PER_SWEEP
        if not self._unchecked:
            self._unchecked = list(self._states)
        checked = self._unchecked[-CHECKED_PER_SWEEP:]
        del self._unchecked[-CHECKED_PER_SWEEP:]
        for id in checked:
            state = self._states.get(id)
            if state is not None and state.full_at <= now_us * state.limit.ticks:
                del self._states[id]
