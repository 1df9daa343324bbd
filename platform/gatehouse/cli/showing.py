"""A secret that is shown once: never made for nobody, and never lost without a word."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gatehouse.errors import Refused


def check_there_is_output() -> None:
    """Raises Refused where standard output is closed."""
    if sys.stdout is None:
        raise Refused("standard output is closed: a key is shown there, once, so nothing was done")


@contextmanager
def told_if_not_shown(consequence: str) -> Iterator[None]:
    """Around what writes the secret. Raises Refused, which says the consequence, when it cannot be written."""
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())  # what is still to be written would fail once more at the end, with a trace
        raise Refused(f"the output cannot be written ({error.strerror}); {consequence}") from None
