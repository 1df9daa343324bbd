"""Tells the other processes of this server what this one counts, once a second, and knows what they count."""

import logging
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Event, Lock, Thread

from gatehouse.metrics.family import Family, combined
from gatehouse.metrics.figures_file import FiguresFile, read_others, remove_abandoned

LOG = logging.getLogger("gatehouse.metrics")
PUBLISH_EVERY_S = 1.0
"""What a process has counted since then is lost with `kill -9`."""


class Publisher:
    """Writes in a thread of its own, so that a slow disk delays no call. `publish` and `families` belong to any thread."""

    def __init__(
        self, folder: Path, server: str, process_id: str, own: Callable[[], Iterable[Family]], every_s: float = PUBLISH_EVERY_S
    ) -> None:
        self._folder = folder
        self._server = server
        self._own = own
        self._every_s = every_s
        self._file = FiguresFile.open(folder, server, process_id)
        self._file.write(combined([], [self._file.before]))  # what its last owner had under way is no more
        self._one_at_a_time = Lock()
        self._stop = Event()
        self._failing = False
        self._thread = Thread(target=self._run, name="metrics", daemon=True)
        remove_abandoned(folder, time.time())

    def start(self) -> None:
        """Begin to publish."""
        self._thread.start()

    def families(self) -> list[Family]:
        """Of all processes of this server; this one's as of now."""
        published = self.publish()  # first: what is shown once is never taken back, also when this process is killed
        others = list(read_others(self._folder, self._server, self._file.path))
        return combined(
            [published, *(families for families, lives in others if lives)], [families for families, lives in others if not lives]
        )

    def publish(self) -> list[Family]:
        """Write down what there is now; where it cannot be written the others go on with what was."""
        with self._one_at_a_time:
            now = combined([list(self._own())], [self._file.before])
            try:
                self._file.write(now)
            except OSError as error:
                self._note(error)
            else:
                self._failing = False
            return now

    def close(self) -> None:
        """Say the last word, and let another process count on from there."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self.publish()
        self._file.close()

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            try:
                self.publish()
            except Exception:  # the thread must outlive whatever it is: the next second may be better
                LOG.exception("what this process counts could not be published")

    def _note(self, error: OSError) -> None:
        if not self._failing:
            LOG.warning("metrics of this process stand still for the others: %s", error.strerror or error)
        self._failing = True


def server_families(folder: Path, server: str) -> list[Family]:
    """The same, for whoever serves no calls itself: what was published last."""
    found = list(read_others(folder, server))
    return combined([families for families, lives in found if lives], [families for families, lives in found if not lives])


def metrics_folder(state_dir: Path) -> Path:
    """Where all of it lies."""
    return state_dir / "metrics"


def server_name(port: int) -> str:
    """Under which the processes of one server find each other: those of one port on one machine."""
    host = "".join(each if each.isascii() and each.isalnum() else "-" for each in socket.gethostname())
    return f"{host[:64]}-{port}"
