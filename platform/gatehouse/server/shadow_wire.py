"""What a serving process and the process of its shadows say to each other, over a socket pair: msgpack, and matrices as they lie in memory.

Nothing that comes back is ever unpickled: it is counts, and each is held against what was sent.
"""

import socket
import struct
from collections.abc import Sequence
from time import monotonic
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

Matrix = np.ndarray[Any, Any]
LENGTH = struct.Struct(">Q")
MOST_REPLY_BYTES = 16 * 1024 * 1024
MOST_QUESTION_BYTES = 1024 * 1024 * 1024
CELLS_A_PART = 4_000
"""Of texts and the like, which are encoded while nothing else runs: some 0.2 ms."""
Count = Annotated[int, Meta(ge=0)]
Code = Annotated[str, Meta(pattern="^upgrade_[a-z_]{1,32}$")]
Field = Annotated[str, Meta(min_length=1, max_length=255)]


class Silence(Exception):
    """The other side has ended, is late, or talks nonsense."""


class Pair(msgspec.Struct, frozen=True):
    """A version that answers calls, and the one that scores them too."""

    model: str
    api_version: str
    version: str
    other_api_version: str
    other_version: str

    def __str__(self) -> str:
        return f"{self.model} {self.other_version} as the shadow of {self.version}"


class Prepare(msgspec.Struct, tag=True):
    """Load what `pair` needs, and let go of all pairs that are not in `keep`."""

    pair: Pair
    keep: tuple[Pair, ...]


class Score(msgspec.Struct, tag=True):
    """Score these rows and compare. Of each call: a number that stands for its tenant, from 0, and how many rows are its own.

    After it come the parts of the matrix, `parts` bytes each, and then the live scores, of `columns` numbers a row (0: one, flat).
    """

    pair: Pair
    calls: tuple[tuple[Count, Count], ...]
    numeric: bool
    """Whether the parts are doubles; else each is msgpack of rows of cells."""
    parts: tuple[Count, ...]
    columns: Count
    apart_s: Annotated[float, Meta(ge=0)]
    """How long calls that fail together may be taken apart; those that are not by then are dropped."""


class Ready(msgspec.Struct, tag=True):
    """The pair can be scored."""


class Unusable(msgspec.Struct, tag=True):
    """The pair cannot be scored; `reason` is for operators."""

    reason: Annotated[str, Meta(max_length=1000)]


class Result(msgspec.Struct):
    """What the calls of one tenant came to."""

    dropped: Count = 0
    failed: Count = 0
    """These two: calls."""
    rows: Count = 0
    not_upgraded: Count = 0
    disagreed: Count = 0
    shift_sum: float = 0.0
    shifts: dict[int, Count] = {}
    failures: list[tuple[Field, Code, Count]] = []


class Compared(msgspec.Struct, tag=True):
    """One result for each tenant."""

    results: list[Result]


Question = Prepare | Score
Reply = Ready | Unusable | Compared
_ENCODER = msgspec.msgpack.Encoder()
_QUESTIONS: msgspec.msgpack.Decoder[Question] = msgspec.msgpack.Decoder(Question)
_REPLIES: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)
_CELLS = msgspec.msgpack.Decoder(list[list[Any]])


def parts_of(matrices: Sequence[Matrix]) -> list[memoryview | bytes]:
    """The rows of matrices that are of one kind, ready to be sent: the doubles of a single one are not copied."""
    whole = matrices[0] if len(matrices) == 1 else np.concatenate(matrices)
    if whole.dtype != object:
        return [np.ascontiguousarray(whole, np.float64).data.cast("B")]
    step = max(1, CELLS_A_PART // whole.shape[1])
    return [_ENCODER.encode(whole[at : at + step].tolist()) for at in range(0, len(whole), step)]


def matrix_of(parts: Sequence[bytes], *, numeric: bool, rows: int) -> Matrix:
    """What `parts_of` was made of, as one matrix. Raises ValueError where it has not so many rows."""
    if numeric:
        return np.frombuffer(b"".join(parts), np.float64).reshape(rows, -1)
    cells = [row for part in parts for row in _CELLS.decode(part)]
    values = np.empty((rows, len(cells[0])), object)
    values[:] = cells
    return values


def send(line: socket.socket, message: Question | Reply, parts: Sequence[memoryview | bytes] = (), deadline: float | None = None) -> None:
    """The message, then the parts; `deadline` by `monotonic()`. Raises Silence."""
    body = _ENCODER.encode(message)
    for each in (LENGTH.pack(len(body)) + body, *parts):
        try:
            line.settimeout(_left(deadline))
            line.sendall(each)
        except OSError as error:
            raise Silence(type(error).__name__) from None


def receive_question(line: socket.socket) -> tuple[Question, list[bytes], Matrix]:
    """The question, and what follows it. Raises Silence when the other side has ended."""
    line.settimeout(None)
    question = _QUESTIONS.decode(_message(line, MOST_QUESTION_BYTES, None))
    if isinstance(question, Prepare):
        return question, [], np.empty(0)
    parts = [_exactly(line, length, None) for length in question.parts]
    rows = sum(rows for _, rows in question.calls)
    scores = np.frombuffer(_exactly(line, 8 * rows * max(1, question.columns), None), np.float64)
    return question, parts, scores.reshape(rows, question.columns) if question.columns else scores


def receive_reply(line: socket.socket, deadline: float) -> Reply:
    """Raises Silence, also for what is no reply."""
    try:
        return _REPLIES.decode(_message(line, MOST_REPLY_BYTES, deadline))
    except msgspec.MsgspecError:
        raise Silence("what it answered is no reply") from None


def _message(line: socket.socket, most: int, deadline: float | None) -> bytes:
    (length,) = LENGTH.unpack(_exactly(line, LENGTH.size, deadline))
    if length > most:
        raise Silence("what it answered is too long")
    return _exactly(line, length, deadline)


def _exactly(line: socket.socket, length: int, deadline: float | None) -> bytes:
    found = bytearray(length)
    view, at = memoryview(found), 0
    while at < length:
        try:
            line.settimeout(_left(deadline))
            read = line.recv_into(view[at:])
        except OSError as error:
            raise Silence(type(error).__name__) from None
        if not read:
            raise Silence("it has ended")
        at += read
    return bytes(found)


def _left(deadline: float | None) -> float | None:
    if deadline is None:
        return None
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError
    return left
