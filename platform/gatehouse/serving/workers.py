"""A bounded pool of threads for work that must not hold the event loop, shared fairly between models and between tenants."""

import asyncio
import os
import sys
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from gatehouse.errors import Overloaded, PredictionTimeout
from gatehouse.fair_queue import FairQueue

T = TypeVar("T")
RETRY_AFTER = (("Retry-After", "1"),)
NICENESS = 5
"""Of these threads, more than of the event loop's: where processors are short, the loop's many short pieces of work come first."""


class Job(Future[T], Generic[T]):
    """One piece of work of a tenant in its lane."""

    def __init__(self, work: Callable[[], T], lane: str, tenant: str) -> None:
        super().__init__()
        self.work = work
        self.lane = lane
        self.tenant = tenant


class Workers:
    """Work waits in lanes. The lanes take turns, in a lane the tenants do, and a tenant's own is first come first served.

    No lane gets more than its share of the threads, so a model that is slow, or never ends, leaves threads to the others. No tenant gets
    more than such a share over all lanes, and in a lane it leaves one thread of the share to other tenants. Work of no tenant in
    particular, named "", is bounded by its lane alone. Of one tenant at most `waiting` pieces of work wait in a lane; what comes beyond is
    refused at once. A place is held until its thread is really done, also where the caller has gone or the deadline has passed: work
    that cannot be stopped is at least bounded.
    """

    def __init__(self, threads: int, waiting: int) -> None:
        self.threads = threads
        self.share = max(1, (threads - 1) // 2)
        """Threads of one lane: even two lanes that are stuck leave one thread, where there are three or more."""
        self._waiting = waiting
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="gatehouse-worker", initializer=come_after_the_loop)
        self._lock = threading.Lock()
        self._lanes: OrderedDict[str, FairQueue[Job[Any]]] = OrderedDict()
        self._busy = 0
        self._running: Counter[tuple[str | None, str | None]] = Counter()
        """Threads by lane (and no tenant), by tenant (and no lane), and by both."""
        self._closed = False

    async def run(self, work: Callable[[], T], deadline_s: float, lane: str = "", tenant: str = "") -> T:
        """The work's own answer or exception. Raises Overloaded when all places are taken, PredictionTimeout past the deadline."""
        job = self.submit(work, lane, tenant)
        waiter = asyncio.wrap_future(job)
        try:
            await asyncio.wait((waiter,), timeout=deadline_s)
            if not waiter.done():
                raise PredictionTimeout(reason="deadline_passed")
            if waiter.cancelled():
                raise Overloaded(reason="workers_closed", headers=RETRY_AFTER)
            return waiter.result()
        finally:
            waiter.cancel()
            if job.cancel():  # without effect on what runs or is done
                with self._lock:
                    self._remove(job)

    def submit(self, work: Callable[[], T], lane: str, tenant: str = "") -> Job[T]:
        """Have the work done by a thread of its lane. Raises Overloaded. Safe in any thread."""
        job = Job(work, lane, tenant)
        with self._lock:
            if self._closed:
                raise Overloaded(reason="workers_closed", headers=RETRY_AFTER)
            queue = self._lanes.setdefault(lane, FairQueue())
            queue.add(tenant, job)
            self._start()
            if queue.of(tenant) > self._waiting:
                self._remove(job)
                raise Overloaded(reason="workers_full", headers=RETRY_AFTER)
        return job

    def close(self) -> None:
        """Take no more work and forget what waits; what runs ends by itself."""
        with self._lock:
            self._closed = True
            forgotten = [job for queue in self._lanes.values() for job in queue.drain()]
            self._lanes.clear()
            self._pool.shutdown(wait=False)
        for job in forgotten:
            job.cancel()

    def _start(self) -> None:
        """Begin what may begin, one lane after the other. The lock is held."""
        while self._busy < self.threads:
            waiting = ((lane, tenant) for lane, queue in self._lanes.items() for tenant in queue.owners())
            turn = next((place for place in waiting if self._may_run(*place)), None)
            if turn is None:
                return
            lane, tenant = turn
            job = self._lanes[lane].take_of(tenant)
            self._lanes.move_to_end(lane)  # others come first now
            self._forget_empty(lane)
            self._count(job, 1)
            self._pool.submit(self._work, job)

    def _may_run(self, lane: str, tenant: str) -> bool:
        running = self._running
        if running[lane, None] >= self.share:
            return False
        return not tenant or (running[None, tenant] < self.share and running[lane, tenant] < max(1, self.share - 1))

    def _forget_empty(self, lane: str) -> None:
        if not self._lanes[lane]:
            del self._lanes[lane]

    def _count(self, job: Job[Any], threads: int) -> None:
        self._busy += threads
        for place in ((job.lane, None), (None, job.tenant), (job.lane, job.tenant)):
            self._running[place] += threads
            if not self._running[place]:
                del self._running[place]

    def _work(self, job: Job[Any]) -> None:
        try:
            if job.set_running_or_notify_cancel():
                try:
                    answer = job.work()
                except BaseException as error:  # whatever it is, it is for whoever waits
                    job.set_exception(error)
                else:
                    job.set_result(answer)
        finally:
            with self._lock:
                self._count(job, -1)
                if not self._closed:
                    self._start()

    def _remove(self, job: Job[Any]) -> None:
        """Free the place of work that still waits. The lock is held."""
        queue = self._lanes.get(job.lane)
        if queue and queue.remove(job.tenant, job):
            self._forget_empty(job.lane)


def come_after_the_loop() -> None:
    """Lower the priority of the calling thread; only Linux knows priorities of single threads."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS)
