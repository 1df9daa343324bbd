"""What whole lines of a spool hold: entries that can be stored, and what is set aside."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from gatehouse.usage.event import Entry, EventInvalid, RefusedCalls, UsageEvent, decode_events, decode_line

_BEGIN = b'{"format":'


@dataclass(slots=True)
class Batch:
    events: list[UsageEvent] = field(default_factory=list)
    refused: list[RefusedCalls] = field(default_factory=list)
    rejected: list[tuple[bytes, str]] = field(default_factory=list)
    """What is no entry, and why."""

    def add(self, entry: Entry) -> None:
        if isinstance(entry, UsageEvent):
            self.events.append(entry)
        else:
            self.refused.append(entry)


def read_batch(lines: bytes) -> Batch:
    """The entries of whole lines, in their order. Every byte is in an entry or set aside."""
    try:
        return Batch(decode_events(lines))
    except EventInvalid:  # among the events is something else: line by line
        batch = Batch()
        for line in lines.removesuffix(b"\n").split(b"\n"):
            for part in _parts(line):
                _read_line(batch, part)
        return batch


def whole_lines(data: bytes, limit: int) -> bytes:
    """The lines of `data` that have an end; all of it where as much as `limit` holds none: no spool of ours, it is set aside."""
    end = data.rfind(b"\n") + 1
    return data if not end and len(data) >= limit else data[:end]


def _read_line(batch: Batch, line: bytes) -> None:
    try:
        batch.add(decode_line(line))
    except EventInvalid as error:
        batch.rejected.append((line, str(error)))


def _parts(line: bytes) -> Iterator[bytes]:
    """The line; taken apart where a line that was cut off runs into the next one."""
    begin = line.rfind(_BEGIN)
    if begin > 0:
        yield line[:begin]
        yield line[begin:]
    else:
        yield line
