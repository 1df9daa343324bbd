"""The usage event: one immutable row per call of a principal on a prediction path."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta

FORMAT = 1
_MARK = b'{"format":1,'
_PLAIN = r"^[^\x00]*$"
"""PostgreSQL keeps no NUL in text."""

Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Id = Annotated[str, Meta(min_length=1, max_length=40, pattern=_PLAIN)]
Version = Annotated[str, Meta(max_length=8, pattern=_PLAIN)]
Name = Annotated[str, Meta(max_length=63, pattern=_PLAIN)]


class UsageEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="format", tag=FORMAT, gc=False):
    """The columns of `usage_event`, never inputs or outputs. The bounds are the columns' own: what decodes can be stored."""

    id: Annotated[str, Meta(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")]
    at_us: Annotated[int, Meta(ge=0, le=253_402_300_799_999_999)]
    month: Annotated[str, Meta(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$")]
    process_id: Id
    tenant_id: Id
    key_id: Annotated[str, Meta(min_length=1, max_length=32, pattern=_PLAIN)]
    model: Name | None
    api_version: Version | None
    model_version: Annotated[str, Meta(max_length=32, pattern=_PLAIN)] | None
    engine: Annotated[str, Meta(max_length=16, pattern=_PLAIN)] | None
    rows: Annotated[int, Meta(ge=0, le=2**31 - 1)]
    status: Annotated[int, Meta(ge=100, le=599)]
    code: Annotated[str, Meta(max_length=40, pattern=_PLAIN)] | None
    latency_us: Count
    bytes_in: Count
    bytes_out: Count
    request_id: Annotated[str, Meta(max_length=64, pattern=_PLAIN)]


class EventInvalid(ValueError):
    """A line that is no usage event of this format."""


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(UsageEvent)


def encode_line(event: UsageEvent) -> bytes:
    """The event as one line of NDJSON."""
    return _ENCODER.encode(event) + b"\n"


def decode_line(line: bytes) -> UsageEvent:
    """The event of one line without its end. Raises EventInvalid."""
    if not line.startswith(_MARK):
        raise EventInvalid(f"the line does not start with {_MARK.decode()}")
    try:
        return _DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EventInvalid(str(error)) from None


def month_name(at_us: int) -> str:
    """`YYYY-MM` (UTC) of microseconds since 1970."""
    return f"{datetime.fromtimestamp(at_us // 1_000_000, UTC):%Y-%m}"


def uuid7(now_ms: int, random_bits: Callable[[int], int]) -> str:
    """A UUIDv7 (RFC 9562, 5.7): milliseconds since 1970, then 74 random bits. `random_bits` is `secrets.randbits` or its like."""
    random = random_bits(74)
    number = (now_ms & (1 << 48) - 1) << 80 | 7 << 76 | random >> 62 << 64 | 0b10 << 62 | random & (1 << 62) - 1
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
