"""The usage event, one immutable row per call of a principal on a prediction path, and what is counted instead of written down."""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

FORMAT = 1
_EVENT = b'{"format":1,"id":'
_REFUSED_CALLS = b'{"format":1,"refused":'
_LIKE_NUL = b"\\u0000"
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
"""As JSON writes it, which is not how it writes a backslash before u0000; PostgreSQL keeps none in text."""

Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Id = Annotated[str, Meta(min_length=1, max_length=40)]
KeyId = Annotated[str, Meta(min_length=1, max_length=32)]
Version = Annotated[str, Meta(max_length=8)]
Name = Annotated[str, Meta(max_length=63)]


class UsageEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="format", tag=FORMAT, gc=False):
    """The columns of `usage_event`, never inputs or outputs. The bounds are the columns' own: what decodes can be stored."""

    id: Annotated[str, Meta(min_length=36, max_length=36)]
    at_us: Annotated[int, Meta(ge=0, le=253_402_300_799_999_999)]
    month: Annotated[str, Meta(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")]
    process_id: Id
    tenant_id: Id
    key_id: KeyId
    model: Name | None
    api_version: Version | None
    model_version: Annotated[str, Meta(max_length=32)] | None
    engine: Annotated[str, Meta(max_length=16)] | None
    rows: Annotated[int, Meta(ge=0, le=2**31 - 1)]
    status: Annotated[int, Meta(ge=100, le=599)]
    code: Annotated[str, Meta(max_length=40)] | None
    latency_us: Count
    bytes_in: Count
    bytes_out: Count
    request_id: Annotated[str, Meta(max_length=64)]


class RefusedCalls(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="format", tag=FORMAT, gc=False):
    """Calls of one second, key and limit that were counted instead of written down one by one; the columns of `refused_calls`."""

    refused: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    second: Annotated[int, Meta(ge=0, le=253_402_300_799)]
    tenant_id: Id
    key_id: KeyId
    status: Annotated[int, Meta(ge=100, le=599)]
    limit: Annotated[str, Meta(max_length=40)]


class EventInvalid(ValueError):
    """A line that is no usage event of this format."""


Entry = UsageEvent | RefusedCalls
_ENCODER = msgspec.json.Encoder()
_EVENTS = msgspec.json.Decoder(UsageEvent)
_REFUSED = msgspec.json.Decoder(RefusedCalls)


def encode_line(entry: Entry) -> bytes:
    """The entry as one line of NDJSON."""
    return encode_lines((entry,))


def encode_lines(entries: Iterable[Entry]) -> bytes:
    """A line for each of them."""
    return _ENCODER.encode_lines(entries)


def decode_line(line: bytes) -> Entry:
    """The entry of one line without its end. Raises EventInvalid."""
    if line.startswith(_EVENT):
        decoder: msgspec.json.Decoder[Any] = _EVENTS
    elif line.startswith(_REFUSED_CALLS):
        decoder = _REFUSED
    else:
        raise EventInvalid(f"the line starts neither with {_EVENT.decode()} nor with {_REFUSED_CALLS.decode()}")
    if _LIKE_NUL in line and _NUL.search(line):
        raise EventInvalid("the line holds a NUL, which PostgreSQL keeps in no text")
    try:
        entry: Entry = decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EventInvalid(str(error)) from None
    return entry


def decode_events(lines: bytes) -> list[UsageEvent]:
    """Whole lines of which each is an event; several times as quick as one by one. Raises EventInvalid for anything else."""
    if _LIKE_NUL in lines and _NUL.search(lines):
        raise EventInvalid("a line holds a NUL")
    try:
        return _EVENTS.decode_lines(lines)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EventInvalid(str(error)) from None


def month_name(at_us: int) -> str:
    """`YYYY-MM` (UTC) of microseconds since 1970."""
    return f"{datetime.fromtimestamp(at_us // 1_000_000, UTC):%Y-%m}"


def uuid7(now_ms: int, random_bits: Callable[[int], int]) -> str:
    """A UUIDv7 (RFC 9562, 5.7): milliseconds since 1970, then 74 random bits. `random_bits` is `secrets.randbits` or its like."""
    random = random_bits(74)
    tail = f"{0x8000 | random >> 48 & 0x3FFF:04x}-{random & (1 << 48) - 1:012x}"
    return f"{now_ms >> 16 & 0xFFFF_FFFF:08x}-{now_ms & 0xFFFF:04x}-7{random >> 62:03x}-{tail}"
