"""The brownouts of one endpoint as each call looks them up: by the clock, without a job and without the database."""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from datetime import datetime

from gatehouse.migration.endpoint import Brownout


class Windows:
    """`draw` gives a number from 0 up to 1, each call anew."""

    def __init__(self, brownouts: Iterable[Brownout], draw: Callable[[], float]) -> None:
        self._draw = draw
        self._by_whom: dict[tuple[str | None, str | None], list[Brownout]] = {}
        for each in sorted(brownouts, key=lambda window: window.ends_at):
            self._by_whom.setdefault((each.tenant_id, each.key_id), []).append(each)

    def refusing(self, tenant_id: str, key_id: str, now: datetime, moved: Mapping[str, Set[str]]) -> Brownout | None:
        """The window that refuses this call; of several the one that ends last.

        `moved`: by a window's id the tenants that have moved. They are spared, and by a window that is not named there all are: it is not
        known yet who has moved. Rehearsals spare nobody.
        """
        whose = [(tenant_id, key_id), (tenant_id, None), (None, None)]
        meant = (window for window in self._open(whose, now) if not _spared(window, tenant_id, moved.get(window.id)))
        refusing = [window for window in meant if self._draw() * 100 < window.percent]
        return max(refusing, key=lambda window: window.ends_at, default=None)

    def _open(self, whose: Iterable[tuple[str | None, str | None]], now: datetime) -> Iterator[Brownout]:
        for whom in whose:
            windows = self._by_whom.get(whom, [])  # they never overlap: the first that is not over is the only one that can be open
            place = bisect_right(windows, now, key=lambda window: window.ends_at)
            if place < len(windows) and windows[place].starts_at <= now:
                yield windows[place]


def _spared(window: Brownout, tenant_id: str, moved: Set[str] | None) -> bool:
    return window.key_id is None and (moved is None or tenant_id in moved)


def seconds_until(end: datetime, now: datetime) -> int:
    """Whole seconds after which it is over; at least 1."""
    return max(1, math.ceil((end - now).total_seconds()))
