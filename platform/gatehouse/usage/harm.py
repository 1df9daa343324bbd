"""What others do to the open file of a spool: cut it short, or remove it."""

import logging
from pathlib import Path

from gatehouse.usage.spool import Spool
from gatehouse.usage.spool_folder import Segment

LOG = logging.getLogger("gatehouse.usage")


class HarmWatch:
    """Belongs to the recorder's thread."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._short: Segment | None = None

    def look(self) -> None:
        """Have the spool go on in its next file where this one is harmed. Raises OSError.

        It must be found so twice on end: in between two bytecodes the process may be changing to its next file by itself.
        """
        segment, written = self._spool.written()
        missing = written - _size(segment.path(self._spool.folder))
        if missing <= 0:
            self._short = None
        elif self._short != segment:
            self._short = segment
        else:
            LOG.error(
                "%s was cut short or removed by somebody: %d bytes are gone, and those that the database had not taken are lost",
                segment.path(self._spool.folder).name,
                missing,
            )
            self._spool.leave_file(missing)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
