"""A CSV file of which many things are to be made."""

from pathlib import Path
from typing import Annotated

import typer

from gatehouse.cli.one_line import cause_of
from gatehouse.errors import Refused
from gatehouse.identity.import_lines import MOST_BYTES

File = Annotated[Path, typer.Argument(metavar="FILE", help="CSV in UTF-8 with a header; at most 10,000 lines.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say whether every line can be made.")]


def read_import(file: Path) -> bytes:
    """The file, or as much of it as tells that it is too large. Raises Refused."""
    try:
        with file.open("rb") as opened:
            return opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise Refused(f"{file} cannot be read: {cause_of(error)}") from None
