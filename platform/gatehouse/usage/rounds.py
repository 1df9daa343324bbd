"""Entries that are ready in one turn of the event loop are written by one system call, before any of their calls is answered."""

import asyncio

from gatehouse.errors import UsageUnavailable
from gatehouse.usage.event import Entry, encode_line
from gatehouse.usage.spool import Spool


class WritingRounds:
    """Belongs to the event loop."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []

    def append(self, entry: Entry) -> "asyncio.Future[None]":
        """Done when the entry outlives the process. Its exception is UsageUnavailable, and then it is not written.

        An entry whose future was cancelled before is left out.
        """
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._write)  # behind all that is ready by now
        written: asyncio.Future[None] = loop.create_future()
        self._waiting.append((encode_line(entry), written))
        return written

    def _write(self) -> None:
        waiting, self._waiting = self._waiting, []
        waiting = [each for each in waiting if not each[1].done()]
        if not waiting:
            return
        try:
            self._spool.append_lines(b"".join([line for line, _ in waiting]))
        except UsageUnavailable as error:
            if len(waiting) == 1:
                waiting[0][1].set_exception(error)
            else:
                self._write_each(waiting)  # there may be room for some
        else:
            for _, written in waiting:
                written.set_result(None)

    def _write_each(self, waiting: list[tuple[bytes, "asyncio.Future[None]"]]) -> None:
        for line, written in waiting:
            try:
                self._spool.append_lines(line)
            except UsageUnavailable as error:
                written.set_exception(error)
            else:
                written.set_result(None)
