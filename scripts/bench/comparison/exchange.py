"""What is sent to a server and what its answer must hold."""

import re
from collections import Counter
from dataclasses import dataclass, field

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
END = b"\r\n\r\n"


class WrongAnswer(Exception):
    """An answer is not what it must be."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request, the status of its answer, and what stands in the answer's body so many times."""

    sent: bytes
    status: int = 200
    holds: tuple[tuple[bytes, int], ...] = ()
    constant_from: bytes | None = None
    """From here on each answer's body is the same, so that it is read in full once and compared afterwards; None: none is."""

    or_status: int | None = None
    """What may be answered as well, whatever it holds."""

    def check(self, answer: "Answer") -> None:
        """Raises WrongAnswer."""
        if answer.status == self.or_status:
            return
        if answer.status != self.status:
            raise WrongAnswer(f"{answer.status} instead of {self.status}: {answer.body[:300]!r}")
        for fragment, times in self.holds:
            if answer.body.count(fragment) != times:
                raise WrongAnswer(f"{fragment!r} is {answer.body.count(fragment)} times in {answer.body[:300]!r}, not {times} times")

    def tail(self, answer: "Answer") -> bytes | None:
        """What every further answer to this ends with."""
        if self.constant_from is None or answer.closes:
            return None
        place = answer.body.find(self.constant_from)
        if place < 0:
            raise WrongAnswer(f"{self.constant_from!r} is not in {answer.body[:300]!r}")
        return answer.body[place:]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that was read whole."""

    status: int
    body: bytes
    closes: bool


def whole_answer(received: bytes) -> Answer | None:
    """None while some of it is missing. Raises WrongAnswer where its length is not told."""
    end = received.find(END)
    if end < 0:
        return None
    head = received[:end]
    length = LENGTH.search(head)
    if length is None:
        raise WrongAnswer(f"no Content-Length in {head!r}")
    if len(received) < end + 4 + int(length[1]):
        return None
    return Answer(int(head[9:12]), received[end + 4 :], CLOSE.search(head) is not None)


def post(path: str, body: bytes, **fields: str) -> bytes:
    """A request with a JSON body; `x_api_key` is the field X-Api-Key."""
    lines = "".join(f"{name.replace('_', '-').title()}: {value}\r\n" for name, value in fields.items())
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{lines}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@dataclass(frozen=True, slots=True)
class Orders:
    """What a load process does: calls over some connections, each of which sends the next call when the last is answered."""

    port: int
    exchanges: tuple[Exchange, ...]
    connections: int
    seconds: float
    warm_up_s: float = 0.3
    rate: float | None = None
    """Calls a second at even distances, whose time is counted from when they were due; None: as many as there can be."""
    most_calls: int | None = None
    """Ends earlier once so many have been answered."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What a load process found. Times in seconds, in the order of the answers."""

    seconds: float
    """From the first request to the last answer."""
    times: list[float]
    statuses: Counter[int] = field(default_factory=Counter)
    own_cpu_s: float = 0.0
    """Processor time of the load process: near `seconds`, it measured itself rather than the server."""
