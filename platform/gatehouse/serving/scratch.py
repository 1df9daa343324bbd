"""Folders for the files of a child process, gone when it has ended; also those that a killed publish left behind."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OLD_S = 3600.0
"""Far beyond the time limit of any child."""


@contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """A new one, readable by this user alone, after the old ones of that prefix are removed."""
    remove_old(Path(tempfile.gettempdir()), prefix, time.time() - OLD_S, os.getuid())
    with tempfile.TemporaryDirectory(prefix=prefix) as folder:
        yield Path(folder)


def remove_old(within: Path, prefix: str, before: float, user: int) -> None:
    """Folders of that user that nothing has been put into since `before`, in seconds since 1970."""
    for folder in within.glob(f"{prefix}*"):
        try:
            found = folder.lstat()
        except OSError:  # another publish was quicker
            continue
        if found.st_uid == user and found.st_mtime < before:
            shutil.rmtree(folder, ignore_errors=True)  # takes neither files nor links
