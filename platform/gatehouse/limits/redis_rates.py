"""Rate limits in Redis: all limits of all decisions of a moment by one script, with the semantics of MemoryRates."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypeAlias

from gatehouse.limits.rate import Decision, RateLimit, StoredClaim
from gatehouse.limits.redis_lines import RedisLines, RedisRefused, RedisUnavailable
from gatehouse.limits.shares import never_lets_in

SCRIPT = Path(__file__).with_name("rates.lua").read_text(encoding="utf-8")
LEASE_US = 2_000_000
"""So long after it last was seen by Redis, a process does not use a share of its own."""
EXACT_TICKS = 2**51
"""Twice as many are still a whole number in a double, with room for one more burst."""
TRIES = 4
MOST_TOGETHER = 64
"""Decisions in one run of the script, which holds Redis meanwhile: some hundred microseconds."""
FIRST_PLACE = 3
"""Of a limit's key: two marks stand before it."""
PREFIX = "{gatehouse}"
"""In braces, so that all keys lie together where Redis is a cluster."""


_Asks: TypeAlias = Sequence[tuple[RateLimit, int]]


class _Question(NamedTuple):
    asks: _Asks
    returnable: bool
    decided: "asyncio.Future[Decision]"


class _Cut(NamedTuple):
    """What a question asks of the part of each limit that the processes with this Redis let in."""

    parts: list[tuple[RateLimit, int]]
    limits: tuple[RateLimit, ...]
    """Of `parts`."""
    never: RateLimit | None
    """A limit that could never let its part in."""
    told: str
    """What the script is told of it."""


_tuple = tuple.__new__
"""Makes a NamedTuple without its Python function: each call needs several."""


class RedisRates:
    """The rates of all processes that use one Redis. They hold as much of each limit as the processes are of all that serve."""

    def __init__(self, lines: RedisLines, process_id: str, prefix: str = PREFIX) -> None:
        self._lines = lines
        self._process_id = process_id
        self._prefix = prefix
        self._marks = (f"{prefix}:mark", f"{prefix}:leases")
        self._fraction = "1/1"
        self._waiting: list[_Question] = []
        self._asking: set[asyncio.Task[None]] = set()
        self.decided_at_us = 0
        """When the last decision was made, by Redis's clock."""

    async def time_us(self) -> int:
        """Redis's clock. Raises RedisUnavailable."""
        return await self._lines.time_us()

    async def memory_policy(self) -> str:
        """Redis's `maxmemory_policy`. Raises RedisUnavailable."""
        return await self._lines.memory_policy()

    async def attach(self, until_us: int, processes: int) -> None:
        """Have Redis let in this process's part as well, until then by its clock. Raises RedisUnavailable."""
        _, self._fraction = await self._lines.run(self._marks, "attach", LEASE_US, self._process_id, until_us, processes)

    async def decide(self, asks: Sequence[tuple[RateLimit, int]], *, returnable: bool = False) -> Decision:
        """Let all of it in, or nothing; decisions that are asked for in one turn of the event loop go in one round trip, in their order.

        Raises RedisUnavailable.
        """
        loop = asyncio.get_running_loop()
        decided: asyncio.Future[Decision] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._send)  # behind all that is ready by now
        self._waiting.append(_Question(asks, returnable, decided))
        return await decided

    def _send(self) -> None:
        waiting, self._waiting = [each for each in self._waiting if not each.decided.done()], []  # some callers may have gone
        for together in _together(waiting):
            task = asyncio.get_running_loop().create_task(self._decide_all(together))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def _decide_all(self, questions: Sequence[_Question]) -> None:
        try:
            decisions = await self._decided(questions)
        except BaseException as error:
            for each in questions:
                if not each.decided.done():
                    each.decided.set_exception(error if isinstance(error, RedisUnavailable) else RedisUnavailable(type(error).__name__))
            if not isinstance(error, Exception):
                raise
        else:
            for each, decision in zip(questions, decisions, strict=True):
                if not each.decided.done():
                    each.decided.set_result(decision)

    async def _decided(self, questions: Sequence[_Question]) -> list[Decision]:
        for _ in range(TRIES):
            part, of = (int(text) for text in self._fraction.split("/"))
            if not part:
                raise RedisRefused("no process is attached")
            keys, told, cuts = self._cut(questions, part, of)
            reply = await self._lines.run(keys, "decide", LEASE_US, self._fraction, told)
            self.decided_at_us, self._fraction = int(reply[0]), reply[1]
            if len(reply) > 2:
                return _decisions(questions, cuts, reply)
        raise RedisRefused("processes come and go too quickly")

    def _cut(self, questions: Sequence[_Question], part: int, of: int) -> tuple[list[str], str, list[_Cut]]:
        """The keys of all limits, what the script is told of these and of the decisions, and what each question asks of the part.

        Most calls of a tenant ask for the same object: it is cut once.
        """
        places: dict[tuple[str, int, int, int], int] = {}
        known: dict[int, _Cut] = {}
        cuts: list[_Cut] = []
        for question in questions:
            asks = question.asks
            cut = known.get(id(asks))
            if cut is None:
                cut = known[id(asks)] = _cut_to(asks, part, of, places)
            cuts.append(cut)
        keys = [*self._marks, *[f"{self._prefix}:{id}" for id, *_ in places]]
        told = [*[f"{ticks},{cost},{depth}" for _, ticks, cost, depth in places], *[cut.told for cut in cuts]]
        return keys, ",".join(told), cuts

    async def give_back(self, decision: Decision) -> None:
        """Take back what a returnable decision let in, once. Raises RedisUnavailable."""
        claims = decision.stored
        if claims:
            keys = [*self._marks, *(f"{self._prefix}:{claim.limit.id}" for claim in claims)]
            told = [text for claim in claims for text in (claim.limit.ticks, claim.limit.cost, claim.limit.depth, claim.cost, *claim[2:])]
            await self._lines.run(keys, "return", LEASE_US, *told)

    async def remove(self, limits: Sequence[RateLimit]) -> None:
        """Remove what is stored of these limits and of the processes, where they are a test's own. Raises RedisUnavailable."""
        await self._lines.remove([*self._marks, *(f"{self._prefix}:{limit.id}" for limit in limits)])

    async def close(self) -> None:
        """Close the connections."""
        await self._lines.close()


def storable(limit: RateLimit) -> RateLimit:
    """The limit as doubles can hold it: where a burst has too many ticks, one that lets in a little less, by under 1 µs for each unit."""
    if limit.depth <= EXACT_TICKS:
        return limit
    period_us = -(-limit.period_us // limit.count)
    return replace(limit, count=1, period_us=period_us, burst=min(limit.burst, EXACT_TICKS // period_us), whole=limit.whole or limit)


def _cut_to(asks: _Asks, part: int, of: int, places: dict[tuple[str, int, int, int], int]) -> _Cut:
    """What is asked of `part`/`of` of the limits; `places` are those of the keys, which grow by what is new."""
    parts = [(storable(limit.share(part, of)), amount) for limit, amount in asks]
    never = never_lets_in(asks) or never_lets_in(parts)
    told = [str(len(parts))]
    for limit, amount in parts:
        place = places.setdefault((limit.id, limit.ticks, limit.cost, limit.depth), FIRST_PLACE + len(places))
        told.append(f"{place},{0 if never else amount * limit.cost}")
    return _Cut(parts, tuple([limit for limit, _ in parts]), never, ",".join(told))


def _together(questions: Sequence[_Question]) -> Iterator[list[_Question]]:
    """Those that go in one run of the script, which knows each limit in one shape: never one from before an edit and from after it."""
    together: list[_Question] = []
    shapes: dict[str, RateLimit] = {}
    seen: set[int] = set()
    for question in questions:
        asks = question.asks
        edited = id(asks) not in seen and any(shapes.get(limit.id, limit) != limit for limit, _ in asks)
        if edited or len(together) == MOST_TOGETHER:
            yield together
            together, shapes, seen = [], {}, set()
        together.append(question)
        if id(asks) not in seen:
            seen.add(id(asks))
            shapes.update((limit.id, limit) for limit, _ in asks)
    if together:
        yield together


def _decisions(questions: Sequence[_Question], cuts: Sequence[_Cut], reply: Sequence[str]) -> list[Decision]:
    found, at, at_us = [], 2, reply[0]
    for question, cut in zip(questions, cuts, strict=True):
        end = at + 1 + 3 * len(cut.parts)
        found.append(_decision(cut, reply[at:end], at_us, returnable=question.returnable))
        at = end
    return found


def _decision(cut: _Cut, reply: Sequence[str], at_us: str, *, returnable: bool) -> Decision:
    """`reply`: whether it is admitted, then of each limit the backlog, since when its state counts and the number of the claim."""
    limits, backlogs = cut.limits, tuple(map(int, reply[1::3]))
    if cut.never is not None:
        return Decision(False, limits, _within(limits, backlogs), cut.never, None)
    if reply[0] != "1":
        waits = [_wait_us(limit, backlog + amount * limit.cost) for (limit, amount), backlog in zip(cut.parts, backlogs, strict=True)]
        longest = max(range(len(waits)), key=waits.__getitem__)
        return Decision(False, limits, _within(limits, backlogs), limits[longest], waits[longest])
    stored: list[StoredClaim] = []
    if returnable:
        for (limit, amount), backlog, born, number in zip(cut.parts, reply[1::3], reply[2::3], reply[3::3], strict=True):
            if amount:
                stored.append(_tuple(StoredClaim, (limit, amount * limit.cost, born, number, at_us, backlog)))
    return _tuple(Decision, (True, limits, backlogs, None, 0, (), tuple(stored)))


def _wait_us(limit: RateLimit, backlog: int) -> int:
    return max(0, -((limit.depth - backlog) // limit.ticks))


def _within(limits: Sequence[RateLimit], backlogs: Sequence[int]) -> tuple[int, ...]:
    return tuple(min(limit.depth, backlog) for limit, backlog in zip(limits, backlogs, strict=True))
