"""Where an export goes: standard output, or a file that is there only once it is whole."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from gatehouse.errors import Refused


@contextmanager
def written_file(out: Path | None) -> Iterator[TextIO]:
    """For its owner alone. Raises Refused where it cannot be written."""
    if out is None:
        yield sys.stdout
        return
    unfinished = out.with_name(f".{out.name}.unfinished")
    try:
        file = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Refused(f"{out} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(file, "w", encoding="utf-8", newline="") as target:
            yield target
        unfinished.replace(out)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
