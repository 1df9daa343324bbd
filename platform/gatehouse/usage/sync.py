"""Entries that outlive a loss of power: one fdatasync for all calls that wait."""

import asyncio
import os
from concurrent.futures import Executor
from typing import Any

from gatehouse.usage.spool import Mark, Spool


class GroupSync:
    """Belongs to the event loop; `threads` has one thread, in which the disk is waited for."""

    def __init__(self, spool: Spool, threads: Executor) -> None:
        self._spool = spool
        self._threads = threads
        self._waiting: list[tuple[asyncio.Future[Any], Any]] = []
        """Futures, and what each is settled with."""
        self._wanted = self._under_way = False

    def wait(self) -> asyncio.Future[None]:
        """Done when all that was appended so far is on the disk. Its exception is UsageUnavailable, and then none of it counts."""
        waiter = asyncio.get_running_loop().create_future()
        self.wait_for(waiter, None)
        return waiter

    def wait_for(self, waiter: asyncio.Future[Any], result: Any) -> None:
        """The same for somebody who waits already, for a result that holds then."""
        self._waiting.append((waiter, result))
        self.nudge()

    def nudge(self) -> None:
        """Have what was appended so far synced; nobody waits for it."""
        self._wanted = True
        if not self._under_way:
            self._begin()

    def _begin(self) -> None:
        waiters, self._waiting = self._waiting, []
        mark = self._spool.begin_sync()
        self._wanted, self._under_way = False, True
        syncing = asyncio.get_running_loop().run_in_executor(self._threads, os.fdatasync, mark.file)
        syncing.add_done_callback(lambda done: self._end(mark, waiters, done.exception()))

    def _end(self, mark: Mark, waiters: list[tuple[asyncio.Future[Any], Any]], error: BaseException | None) -> None:
        os.close(mark.file)
        self._under_way = False
        if error is None:
            self._spool.end_sync(mark)
        else:  # whoever has appended meanwhile is taken back with the others
            waiters, self._waiting = waiters + self._waiting, []
            refusal = self._spool.fail_sync(error if isinstance(error, OSError) else OSError(0, str(error)))
        for waiter, result in waiters:
            if waiter.done():  # its call was cancelled
                continue
            if error is None:
                waiter.set_result(result)
            else:
                waiter.set_exception(refusal)
        if self._wanted and error is None:
            self._begin()
