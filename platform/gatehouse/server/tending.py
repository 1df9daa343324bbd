"""What is to be done beside the calls again and again, in a thread of its own: nothing of it may wait for a call, nor a call for it."""

import logging
import time
from collections.abc import Callable, Sequence
from threading import Event, Thread
from typing import NamedTuple

from gatehouse.db.session import GONE

LOG = logging.getLogger("gatehouse.tending")
TICK_S = 0.2


class Duty(NamedTuple):
    """`work` may block and may raise what a database that is gone raises."""

    every_s: float
    work: Callable[[], None]


class Tender:
    """Does each duty when it is due, while the database is there.

    `noun` is what it tends, `meanwhile` what holds while the database is gone: both for the log. `monotonic` is in seconds.
    """

    def __init__(self, noun: str, meanwhile: str, duties: Sequence[Duty], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._noun = noun
        self._meanwhile = meanwhile
        self._duties = duties
        self._monotonic = monotonic
        self._due = [monotonic() + duty.every_s for duty in duties]
        self._stop = Event()
        self._failing = False
        self._thread = Thread(target=self._run, name=noun, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Blocks until the duty under way is done."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def round(self) -> None:
        """Do what is due; says once for each outage that something failed."""
        outcomes = [self._do(place, duty) for place, duty in enumerate(self._duties) if self._monotonic() >= self._due[place]]
        if outcomes:
            self._failing = not all(outcomes)

    def _run(self) -> None:
        while not self._stop.wait(TICK_S):
            self.round()

    def _do(self, place: int, duty: Duty) -> bool:
        self._due[place] = self._monotonic() + duty.every_s
        try:
            duty.work()
        except GONE as error:
            self._note(error, self._meanwhile)
            return False
        except Exception as error:  # the thread must outlive whatever it is: the next round tries again
            self._note(error, "a duty failed")
            LOG.debug("", exc_info=error)
            return False
        return True

    def _note(self, error: Exception, meaning: str) -> None:
        if not self._failing:
            LOG.warning("%s are not tended now (%s): %s", self._noun, type(error).__name__, meaning)
        self._failing = True
