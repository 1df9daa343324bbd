"""Entries that are ready in one turn of the event loop are written by one system call, before any of their calls is answered."""

import asyncio
from operator import methodcaller

from gatehouse.usage.event import Entry, encode_lines
from gatehouse.usage.spool import Spool

Waiting = tuple[Entry, "asyncio.Future[None]"]
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
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._write)  # behind all that is ready by now
        written: asyncio.Future[None] = loop.create_future()
        self._waiting.append((entry, written))
        return written

    def _write(self) -> None:
        waiting, self._waiting = self._waiting, []
        _, futures = zip(*waiting, strict=True)
        if any(map(_done, futures)):
            waiting = [each for each in waiting if not each[1].done()]
        if waiting:
            self._write_all(waiting)

    def _write_all(self, waiting: list[Waiting]) -> None:
        entries, futures = zip(*waiting, strict=True)
        try:
            self._spool.append_lines(encode_lines(entries))
        except Exception as error:  # nobody is left waiting, whatever it is
            if len(waiting) > 1:
                for each in waiting:  # there may be room for some
                    self._write_all([each])
            else:
                futures[0].set_exception(error)
        else:
            for written in futures:
                written.set_result(None)
