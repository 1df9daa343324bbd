"""A file that a command is given."""

from pathlib import Path

from gatehouse.cli.one_line import cause_of
from gatehouse.errors import Refused


def read_file(file: Path) -> bytes:
    """The whole file. Raises Refused."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise Refused(f"{file} cannot be read: {cause_of(error)}") from None
