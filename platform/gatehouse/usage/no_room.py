"""Why no call can be metered: what its caller gets, and what the log says of it."""

import logging
import time

from gatehouse.errors import UsageUnavailable

LOG = logging.getLogger("gatehouse.usage")
RETRY_AFTER_S = 5
SAID_EVERY_S = 60.0
MEANINGS = {
    "disk_low": "less is free on the spool's disk than GATEHOUSE_SPOOL_MIN_FREE_BYTES",
    "disk_full": "the spool's disk has no room",
    "backlog_full": "more waits for the database than GATEHOUSE_SPOOL_MAX_BYTES",
    "write_failed": "the spool cannot be written",
    "sync_failed": "the spool cannot be synced to its disk",
}


class NoRoom:
    """Says each reason at most once a minute."""

    def __init__(self) -> None:
        self._said: dict[str, float] = {}

    def say(self, reason: str, error: OSError | None) -> None:
        """`error` is what the disk answered."""
        now = time.monotonic()
        if now - self._said.get(reason, float("-inf")) >= SAID_EVERY_S:
            self._said[reason] = now
            cause = f" ({error.strerror})" if error else ""
            LOG.error("no call can be metered, predictions are answered 503: %s%s", MEANINGS[reason], cause)


def unavailable(reason: str) -> UsageUnavailable:
    """What a call gets."""
    return UsageUnavailable(reason=f"usage_{reason}", headers=[("Retry-After", str(RETRY_AFTER_S))])
