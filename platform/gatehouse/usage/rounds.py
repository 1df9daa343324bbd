"""Entries that are ready in one turn of the event loop are written by one system call, before any of their calls is answered."""

import asyncio
from operator import methodcaller
from typing import Any

from gatehouse.usage.event import Entry, encode_lines
from gatehouse.usage.spool import Spool

Waiting = tuple[Entry, "asyncio.Future[Any]", Any]
"""An entry, whose future is settled with what stands behind it."""
_done = methodcaller("done")


class WritingRounds:
    """Belongs to the event loop."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._waiting: list[Waiting] = []

    def append(self, entry: Entry) -> "asyncio.Future[None]":
        """Done when the entry outlives the process. Its exception is UsageUnavailable, and then it is not written.

        An entry whose future was cancelled before is left out.
        """
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.append_for(entry, written, None)
        return written

    def append_for(self, entry: Entry, waiter: "asyncio.Future[Any]", result: Any) -> None:
        """The same for somebody who waits already, for a result that holds once the entry is written."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._write)  # behind all that is ready by now
        self._waiting.append((entry, waiter, result))

    def _write(self) -> None:
        waiting, self._waiting = self._waiting, []
        _, futures, _ = zip(*waiting, strict=True)
        if any(map(_done, futures)):
            waiting = [each for each in waiting if not each[1].done()]
        if waiting:
            self._write_all(waiting)

    def _write_all(self, waiting: list[Waiting]) -> None:
        entries, futures, results = zip(*waiting, strict=True)
        try:
            self._spool.append_lines(encode_lines(entries))
        except Exception as error:  # nobody is left waiting, whatever it is
            if len(waiting) > 1:
                for each in waiting:  # there may be room for some
                    self._write_all([each])
            else:
                futures[0].set_exception(error)
        else:
            for waiter, result in zip(futures, results, strict=True):
                waiter.set_result(result)
