"""Commands that put away what they have begun where they are told to end: by a timeout, a supervisor or a terminal that closes."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP raise SystemExit within the block, once; one that is ignored (as under nohup) stays so."""
    before = {number: signal.getsignal(number) for number in ENDING}
    heeded = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    try:
        for number in heeded:
            signal.signal(number, _end)
        yield
    finally:
        for number in heeded:
            signal.signal(number, before[number])


def _end(number: int, _: FrameType | None) -> None:
    for each in ENDING:
        signal.signal(each, signal.SIG_IGN)  # what is put away is not interrupted by another one
    raise SystemExit(128 + number)
