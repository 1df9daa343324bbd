"""When what could not be loaded is tried again by itself, since its files may be back."""

import time
from collections.abc import Callable

FIRST_S, LONGEST_S = 15.0, 600.0


class Retries:
    """After 15 s, and then after twice as long each time, up to ten minutes; from the start again once nothing fails any more."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self.first_s = FIRST_S
        self._pause_s = 0.0
        self._at: float | None = None

    def due(self, *, failing: bool) -> bool:
        """Whether to try now; asked again and again, with whether anything fails."""
        if not failing:
            self._at = None
            return False
        now = self._monotonic()
        if self._at is None:
            self._pause_s, self._at = self.first_s, now + self.first_s
        if now < self._at:
            return False
        self._pause_s = min(2 * self._pause_s, LONGEST_S)
        self._at = now + self._pause_s
        return True
