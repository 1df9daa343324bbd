"""Refused admin calls on their way into the audit trail: the first ones of each caller by themselves, the others counted."""

import logging
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock

from gatehouse.call import Call
from gatehouse.db.audit import Actor, record_audit
from gatehouse.db.session import Database
from gatehouse.limits.failed_credentials import network_of

LOGGER = logging.getLogger("gatehouse.audit")
ACTION = "admin.refused"
NOBODY = "nobody"
WINDOW_S = 60.0
FIRST_OF_CALLER = 30
"""Rows of one caller who proved who it is, within WINDOW_S: reads of what is not there or is misspelt, and calls that came too fast."""
FIRST_OF_SERIOUS = 300
"""Rows of that caller besides: what it may not do, what it tried to change, and what went wrong here."""
FIRST_OF_NETWORK = 5
"""Rows of callers of one network who did not."""
FIRST_OF_NOBODY = 60
"""Rows of all of these together: a flood from everywhere is one row more."""
MOST_WAITING = 1_000
"""Rows that are kept while the database cannot be reached."""
MOST_PATHS = 3
"""Calls that a counting row names of each code, each once."""
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_SERIOUS = frozenset({401, 403, 409, 412})


@dataclass(frozen=True, slots=True)
class RefusedCall:
    """What a row will say."""

    at: datetime
    actor: Actor
    subject: str
    detail: dict[str, object]
    written: Callable[[], None] = lambda: None


@dataclass(slots=True)
class Counted:
    """Refusals of one window that have no rows of their own."""

    since: datetime
    source: str
    codes: Counter[str] = field(default_factory=Counter)
    first: dict[str, list[str]] = field(default_factory=dict)
    """By code, the first calls of it."""

    def add(self, code: str, subject: str) -> None:
        """One more."""
        self.codes[code] += 1
        known = self.first.setdefault(code, [])
        if len(known) < MOST_PATHS and subject not in known:
            known.append(subject)

    def detail(self) -> dict[str, object]:
        """What the row says."""
        return {"calls": self.codes.total(), "codes": dict(self.codes), "first": self.first, "since": self.since.isoformat()}


class RefusalBook:
    """Thread-safe. `wake` is called when something waits to be written; `write_waiting` is for one thread that may block."""

    def __init__(self, database: Database, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._monotonic = monotonic
        self._lock = Lock()
        self._waiting: deque[RefusedCall] = deque()
        self._since = monotonic()
        self._rows: Counter[tuple[str, bool]] = Counter()
        self._counted: dict[str, Counted] = {}
        self._failing = False
        self.wake: Callable[[], None] | None = None

    def note(self, call: Call, subject: str, status: int, written: Callable[[], None]) -> bool:
        """One more refusal; whether a row of its own is written now, after which `written` is called."""
        proved = call.principal is not None
        actor = Actor(call.principal.actor if call.principal else NOBODY, call.address[:63], call.request_id)
        code = call.code or str(status)
        with self._lock:
            if not self._has_room(actor, proved, is_serious(call.method, status)):
                self._count(actor, proved, code, subject)
                return False
            detail: dict[str, object] = {"status": status, "code": code}
            if call.reason and call.reason != code:
                detail["reason"] = call.reason
            at = datetime.now(UTC)
            self._waiting.append(RefusedCall(at, actor, subject, detail, written if proved else lambda: None))
        if not proved or self.wake is None:
            return False
        self.wake()
        return True

    def write_waiting(self) -> bool:
        """Write what waits, and what the last window counted; whether none is left. What cannot be written waits on; raises nothing."""
        with self._lock:
            self._end_window()
            batch = list(self._waiting)
        if not batch:
            return True
        try:
            with self._database.write() as session:
                for each in batch:
                    record_audit(session, each.actor, ACTION, each.subject, each.detail, at=each.at)
        except Exception as error:  # whatever it is: a refusal was answered, and the thread must go on
            self._say_failing(error)
            return False
        self._failing = False
        with self._lock:
            for _ in batch:
                self._waiting.popleft()
        for each in batch:
            each.written()
        return True

    def close(self) -> bool:
        """Write what there is, the counted ones of a window under way too; whether that worked."""
        with self._lock:
            self._since -= WINDOW_S
        return self.write_waiting()

    def _has_room(self, actor: Actor, proved: bool, serious: bool) -> bool:
        self._end_window()
        if len(self._waiting) >= MOST_WAITING:
            return False
        if proved:
            own = (actor.name, serious)
            self._rows[own] += 1
            return self._rows[own] <= (FIRST_OF_SERIOUS if serious else FIRST_OF_CALLER)
        nobody, network = (NOBODY, False), (network_of(actor.source), False)
        if self._rows[nobody] >= FIRST_OF_NOBODY or self._rows[network] >= FIRST_OF_NETWORK:
            return False
        self._rows[nobody] += 1
        self._rows[network] += 1
        return True

    def _count(self, actor: Actor, proved: bool, code: str, subject: str) -> None:
        source = actor.source if proved else "several"
        self._counted.setdefault(actor.name, Counted(datetime.now(UTC), source)).add(code, subject)

    def _end_window(self) -> None:
        now = self._monotonic()
        if now - self._since < WINDOW_S:
            return
        self._since = now
        self._rows.clear()
        counted, self._counted = self._counted, {}
        for name, each in counted.items():
            self._waiting.append(RefusedCall(datetime.now(UTC), Actor(name, each.source), "further calls under /admin", each.detail()))

    def _say_failing(self, error: Exception) -> None:
        if not self._failing:
            LOGGER.warning("refused admin calls cannot be written into the audit trail yet (%s)", type(error).__name__)
        self._failing = True


def is_serious(method: str, status: int) -> bool:
    """Whether a refusal of a known caller is told by itself where many others are not. A throttled call is not: it was never looked at."""
    return status != 429 and (status in _SERIOUS or status >= 500 or method not in _READING)
