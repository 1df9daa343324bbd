"""A bounded pool of threads for work that must not hold the event loop, shared fairly between models."""

import asyncio
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from gatehouse.errors import Overloaded, PredictionTimeout

T = TypeVar("T")
RETRY_AFTER = (("Retry-After", "1"),)


class Job(Future[T], Generic[T]):
    """One piece of work in its lane."""

    def __init__(self, work: Callable[[], T], lane: str) -> None:
        super().__init__()
        self.work = work
        self.lane = lane


class Workers:
    """Work waits in lanes, first come first served in each; the lanes take turns. No lane gets more than its share of the threads.

    So a model that is slow, or never ends, leaves threads to the others. In a lane at most `waiting` pieces of work wait; what comes
    beyond is refused at once. A place is held until its thread is really done, also where the caller has gone or the deadline has
    passed: work that cannot be stopped is at least bounded.
    """

    def __init__(self, threads: int, waiting: int) -> None:
        self.threads = threads
        self.share = max(1, (threads - 1) // 2)
        """Threads of one lane: even two lanes that are stuck leave one thread, where there are three or more."""
        self._waiting = waiting
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="gatehouse-worker")
        self._lock = threading.Lock()
        self._lanes: OrderedDict[str, deque[Job[Any]]] = OrderedDict()
        self._running: Counter[str] = Counter()
        self._closed = False

    async def run(self, work: Callable[[], T], deadline_s: float, lane: str = "") -> T:
        """The work's own answer or exception. Raises Overloaded when all places are taken, PredictionTimeout past the deadline."""
        job = self.submit(work, lane)
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

    def submit(self, work: Callable[[], T], lane: str) -> Job[T]:
        """Have the work done by a thread of its lane. Raises Overloaded. Safe in any thread."""
        job = Job(work, lane)
        with self._lock:
            if self._closed:
                raise Overloaded(reason="workers_closed", headers=RETRY_AFTER)
            queue = self._lanes.setdefault(lane, deque())
            queue.append(job)
            self._start()
            if len(queue) > self._waiting:
                self._remove(job)
                raise Overloaded(reason="workers_full", headers=RETRY_AFTER)
        return job

    def close(self) -> None:
        """Take no more work and forget what waits; what runs ends by itself."""
        with self._lock:
            self._closed = True
            forgotten = [job for queue in self._lanes.values() for job in queue]
            self._lanes.clear()
            self._pool.shutdown(wait=False)
        for job in forgotten:
            job.cancel()

    def _start(self) -> None:
        """Begin what may begin, one lane after the other. The lock is held."""
        while self._running.total() < self.threads:
            lane = next((name for name in self._lanes if self._running[name] < self.share), None)
            if lane is None:
                return
            job = self._lanes[lane].popleft()
            if self._lanes[lane]:
                self._lanes.move_to_end(lane)
            else:
                del self._lanes[lane]
            self._running[lane] += 1
            self._pool.submit(self._work, job)

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
                self._running[job.lane] -= 1
                if not self._running[job.lane]:
                    del self._running[job.lane]
                if not self._closed:
                    self._start()

    def _remove(self, job: Job[Any]) -> None:
        """Free the place of work that still waits. The lock is held."""
        queue = self._lanes.get(job.lane, ())
        if job in queue:
            self._lanes[job.lane].remove(job)
            if not queue:
                del self._lanes[job.lane]
