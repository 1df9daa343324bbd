"""The usage event and its line."""

import uuid
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatehouse.db.tables import UsageEventTable
from gatehouse.usage.event import EventInvalid, UsageEvent, decode_events, decode_line, encode_line, encode_lines, month_name, uuid7
from gatehouse.usage.outcomes import metered_rows


def test_an_event_has_the_columns_of_its_table() -> None:
    assert UsageEvent.__struct_fields__ == tuple(UsageEventTable.__table__.columns.keys())


def test_an_event_is_one_line_that_reads_back(make_event: Any) -> None:
    event = make_event(request_id="line\nbreak \u2028 é")
    line = encode_line(event)
    assert line.startswith(b'{"format":1,"id":')
    assert line.index(b"\n") == len(line) - 1
    assert decode_line(line[:-1]) == event


@pytest.mark.parametrize("name", [r"\u0000", r"a\\u0000", "\\"])
def test_a_backslash_before_u0000_is_no_nul(make_event: Any, name: str) -> None:
    event = make_event(request_id=name)
    assert decode_line(encode_line(event)[:-1]) == event
    assert decode_events(encode_line(event)) == [event]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"format":1,', b'"format":2,'),
        (b'"format":1,', b""),
        (b'"rows":2', b'"rows":"2"'),
        (b'"rows":2', b'"rows":-1'),
        (b'"rows":2', b'"rows":2.5'),
        (b'"rows":2', b'"rows":2147483648'),
        (b'"rows":2', b'"lines":2'),
        (b'"rows":2', b'"rows":2,"extra":1'),
        (b'"iris"', b'"' + b"x" * 64 + b'"'),
        (b'"iris"', rb'"\u0000"'),
        (b'"iris"', rb'"\\\u0000"'),
        (b'"iris"', b'"\xff"'),
        (b'"2026-11"', b'"2026-13"'),
        (b'"month"', b'"month'),
        (b"}", b"} "),
        (b"}", b"}x"),
        (b'"id":"', b'"id":"0'),
    ],
)
def test_a_line_that_could_not_be_stored_is_refused(make_event: Any, old: bytes, new: bytes) -> None:
    line = encode_line(make_event())[:-1]
    assert old in line
    changed = line.replace(old, new)
    if new == b"} ":  # a blank at the end changes nothing
        assert decode_line(changed)
        return
    with pytest.raises(EventInvalid):
        decode_line(changed)


@given(st.binary())
def test_no_bytes_raise_anything_else(junk: bytes) -> None:
    for line in (junk, b'{"format":1,' + junk):
        with pytest.raises(EventInvalid):
            decode_line(line)


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**74 - 1))
def test_ids_are_uuids_of_version_7(now_ms: int, bits: int) -> None:
    text = uuid7(now_ms, lambda _: bits)
    id = uuid.UUID(text)
    assert str(id) == text
    assert (id.version, id.variant) == (7, uuid.RFC_4122)
    assert id.int >> 80 == now_ms
    assert (id.int >> 64 & 0xFFF) << 62 | id.int & (1 << 62) - 1 == bits


def test_the_id_of_the_rfcs_example() -> None:
    # RFC 9562, appendix A.6
    assert uuid7(0x017F22E279B0, lambda _: 0xCC3 << 62 | 0x18C4DC0C0C07398F) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@pytest.mark.parametrize(("status", "metered"), [(200, 7), (422, 0), (500, 0), (503, 0), (504, 0), (410, 0)])
def test_row_60_only_answered_rows_are_metered(status: int, metered: int) -> None:
    assert metered_rows(status, 7) == metered


def test_months_turn_in_utc() -> None:
    turn = 1_796_083_200_000_000  # 2026-12-01 00:00 UTC
    assert (month_name(turn - 1), month_name(turn)) == ("2026-11", "2026-12")


def test_lines_at_once_are_the_lines_of_each(make_event: Any) -> None:
    events = [make_event(code=code) for code in (None, "é\n", "second")]
    assert encode_lines(events) == b"".join(map(encode_line, events)) == b"".join(msgspec.json.encode(each) + b"\n" for each in events)
