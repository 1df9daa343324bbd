"""Entries of one turn of the event loop: one write for all of them, and all count or none."""

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gatehouse.errors import UsageUnavailable
from gatehouse.usage.event import UsageEvent, decode_line
from gatehouse.usage.rounds import WritingRounds
from gatehouse.usage.spool import Spool
from gatehouse.usage.spool_folder import segments


class Writes:
    """`os.write`, which remembers how often it was called, and fails or is cut short when it is told so."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.fails_after: int | None = None
        self._really = os.write

    def __call__(self, file: int, data: bytes) -> int:
        if self.fails_after is not None:
            self._really(file, data[: self.fails_after])
            raise OSError(errno.ENOSPC, "No space left on device")
        self.sizes.append(len(data))
        return self._really(file, data)


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> Writes:
    writes = Writes()
    monkeypatch.setattr(os, "write", writes)
    return writes


def written(spool: Spool) -> list[str]:
    lines = [line for each in segments(spool.folder) for line in each.path(spool.folder).read_bytes().splitlines()]
    return [entry.request_id for entry in map(decode_line, lines) if isinstance(entry, UsageEvent)]


async def appended(spool: Spool, events: list[UsageEvent], cancel: int | None = None) -> list[Any]:
    rounds = WritingRounds(spool)
    futures = [rounds.append(event) for event in events]
    assert written(spool) == [], "before the end of the turn"
    if cancel is not None:
        futures[cancel].cancel()
    return await asyncio.gather(*futures, return_exceptions=True)


def test_what_is_ready_in_one_turn_is_one_write_and_is_there_when_its_calls_go_on(
    open_spool: Callable[..., Spool], make_event: Any, writes: Writes
) -> None:
    spool, events = open_spool(), [make_event() for _ in range(5)]
    assert asyncio.run(appended(spool, events)) == [None] * 5
    assert len(writes.sizes) == 1
    assert written(spool) == [event.request_id for event in events]
    assert spool.backlog_bytes == writes.sizes[0]


def test_row_100_where_the_write_fails_none_of_them_counts_and_the_next_round_goes_on(
    open_spool: Callable[..., Spool], make_event: Any, writes: Writes
) -> None:
    spool, events = open_spool(), [make_event() for _ in range(3)]
    writes.fails_after = 700
    refused = asyncio.run(appended(spool, events))
    assert [(type(each), each.reason) for each in refused] == [(UsageUnavailable, "usage_write_failed")] * 3
    assert spool.backlog_bytes == 0
    writes.fails_after = None
    spool.check_room()
    late = make_event()
    spool.append(late)
    assert written(spool) == [late.request_id]


def test_row_100_where_there_is_room_for_some_of_a_round_those_count_and_the_others_are_refused(
    open_spool: Callable[..., Spool], make_event: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, events, room = open_spool(), [make_event() for _ in range(4)], 700
    write = os.write

    def full(file: int, data: bytes) -> int:
        nonlocal room
        if len(data) > room:
            raise OSError(errno.ENOSPC, "No space left on device")
        room -= len(data)
        return write(file, data)

    monkeypatch.setattr(os, "write", full)
    found = asyncio.run(appended(spool, events))
    assert [each is None for each in found] == [True, True, False, False]
    assert {each.reason for each in found[2:]} == {"usage_write_failed"}
    assert written(spool) == [event.request_id for event in events[:2]]


def test_a_call_that_was_cancelled_before_leaves_no_event(open_spool: Callable[..., Spool], make_event: Any) -> None:
    spool, events = open_spool(), [make_event() for _ in range(3)]
    first, gone, last = asyncio.run(appended(spool, events, cancel=1))
    assert (first, type(gone), last) == (None, asyncio.CancelledError, None)
    assert written(spool) == [events[0].request_id, events[2].request_id]


def test_an_event_that_cannot_be_written_as_json_fails_its_own_call_alone(open_spool: Callable[..., Spool], make_event: Any) -> None:
    spool, events = open_spool(), [make_event(), make_event(code="\ud800"), make_event()]
    first, failed, last = asyncio.run(appended(spool, events))
    assert (first, type(failed), last) == (None, UnicodeEncodeError, None)
    assert written(spool) == [events[0].request_id, events[2].request_id]


def test_who_waits_already_gets_the_result_once_the_event_is_written_or_what_refused_it(
    open_spool: Callable[..., Spool], make_event: Any, writes: Writes
) -> None:
    spool, events = open_spool(), [make_event() for _ in range(3)]

    async def waited() -> list[Any]:
        rounds, loop = WritingRounds(spool), asyncio.get_running_loop()
        waiters = [loop.create_future() for _ in events]
        for event, waiter in zip(events, waiters, strict=True):
            rounds.append_for(event, waiter, f"the answer to {event.request_id}")
        waiters[1].cancel()
        assert not waiters[0].done()
        return await asyncio.gather(*waiters, return_exceptions=True)

    first, gone, last = asyncio.run(waited())
    assert (first, last) == (f"the answer to {events[0].request_id}", f"the answer to {events[2].request_id}")
    assert isinstance(gone, asyncio.CancelledError)
    assert written(spool) == [events[0].request_id, events[2].request_id]
    writes.fails_after = 0
    assert {type(each) for each in asyncio.run(waited())} == {UsageUnavailable, asyncio.CancelledError}


def test_a_round_of_cancelled_calls_writes_nothing(open_spool: Callable[..., Spool], make_event: Any, writes: Writes) -> None:
    asyncio.run(appended(open_spool(), [make_event()], cancel=0))
    assert writes.sizes == []


def test_lines_of_a_round_that_fill_a_segment_go_whole_into_the_next_one(
    open_spool: Callable[..., Spool], make_event: Any, spool_dir: Path
) -> None:
    spool = open_spool(segment_bytes=1000)
    for number in range(3):
        asyncio.run(WritingRoundsOf(spool).all([make_event() for _ in range(4)]))
        assert len(segments(spool_dir)) == number + 1
    assert len(written(spool)) == 12


class WritingRoundsOf:
    def __init__(self, spool: Spool) -> None:
        self.spool = spool

    async def all(self, events: list[UsageEvent]) -> None:
        rounds = WritingRounds(self.spool)
        await asyncio.gather(*(rounds.append(event) for event in events))
