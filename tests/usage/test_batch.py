"""What the reader of a spool makes of any bytes: each entry that was written whole, each other byte set aside."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gatehouse.usage.batch import read_batch, whole_lines
from gatehouse.usage.event import Entry, RefusedCalls, UsageEvent, encode_line

plain = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)
counts = st.integers(0, 2**63 - 1)
events = st.builds(
    UsageEvent,
    id=st.uuids().map(str),
    at_us=st.integers(0, 253_402_300_799_999_999),
    month=st.sampled_from(["2026-11", "1999-01"]),
    process_id=plain,
    tenant_id=plain,
    key_id=plain,
    model=st.none() | plain,
    api_version=st.none() | st.just("v1"),
    model_version=st.none() | plain,
    engine=st.none() | plain,
    rows=st.integers(0, 2**31 - 1),
    status=st.integers(100, 599),
    code=st.none() | plain,
    latency_us=counts,
    bytes_in=counts,
    bytes_out=counts,
    request_id=plain,
)
refused = st.builds(
    RefusedCalls,
    refused=st.integers(1, 2**63 - 1),
    second=st.integers(0, 2**33),
    tenant_id=plain,
    key_id=plain,
    status=st.integers(100, 599),
    limit=plain,
)


def split(entries: list[Entry]) -> tuple[list[Entry], list[Entry]]:
    return [each for each in entries if isinstance(each, UsageEvent)], [each for each in entries if isinstance(each, RefusedCalls)]


@settings(max_examples=200, deadline=None)
@given(st.lists(events | refused, min_size=1))
def test_whatever_was_written_reads_back_in_its_order(entries: list[Entry]) -> None:
    batch = read_batch(b"".join(map(encode_line, entries)))
    assert (batch.events, batch.refused) == split(entries)
    assert batch.rejected == []


@settings(max_examples=200, deadline=None)
@given(st.lists(events | refused, min_size=1, max_size=5), st.data())
def test_a_spool_that_ends_anywhere_gives_all_entries_that_are_whole(entries: list[Entry], data: Any) -> None:
    lines = [encode_line(entry) for entry in entries]
    written = b"".join(lines)
    end = data.draw(st.integers(0, len(written)))
    whole = whole_lines(written[:end], 10**9)
    kept = [entry for number, entry in enumerate(entries) if sum(map(len, lines[: number + 1])) <= end]
    assert len(whole) == sum(map(len, map(encode_line, kept)))
    if whole:
        batch = read_batch(whole)
        assert (batch.events, batch.refused) == split(kept)


@settings(max_examples=200, deadline=None)
@given(events | refused, events | refused, st.data())
def test_a_line_that_was_cut_off_costs_no_entry_after_it(torn: Entry, after: Entry, data: Any) -> None:
    line = encode_line(torn)
    head = line[: data.draw(st.integers(1, len(line) - 2))]
    batch = read_batch(head + encode_line(after))
    assert (batch.events, batch.refused) == split([after])
    assert [cut for cut, _ in batch.rejected] == [head]


@settings(max_examples=300, deadline=None)
@given(st.lists(events | st.binary(max_size=40).filter(lambda junk: b"\n" not in junk), max_size=6), st.booleans())
def test_junk_among_the_lines_is_set_aside_whole(parts: list[Any], zeros: bool) -> None:
    lines = [encode_line(part)[:-1] if isinstance(part, UsageEvent) else part for part in parts] + ([b"\0" * 4096] if zeros else [])
    batch = read_batch(b"".join(line + b"\n" for line in lines))
    assert batch.events == [part for part in parts if isinstance(part, UsageEvent)]
    aside = b"".join(line for line, _ in batch.rejected)
    junk = b"".join(line for line, part in zip(lines, [*parts, None], strict=False) if not isinstance(part, UsageEvent))
    assert aside.strip() == junk.strip() or aside.split() == junk.split()


def test_lines_without_any_end_wait_until_there_are_too_many_of_them() -> None:
    assert whole_lines(b"x" * 99, 100) == b""
    assert whole_lines(b"x" * 100, 100) == b"x" * 100
    assert whole_lines(b"a\nb\nc", 100) == b"a\nb\n"
