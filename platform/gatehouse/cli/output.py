"""How commands answer: tables for reading, one JSON value for programs."""

import io
import json
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gatehouse.principal import Rate

WIDE = 10_000
"""Columns of a table that no terminal shows: nothing is folded in files and pipes."""
LONGEST_LINE = 120
TO_DO = "to do"
_FRAME, _GAP = 1, 3
"""What a table takes beside its cells, and beside each of its columns."""
PERIODS = {1: "s", 60: "min", 3600: "h", 86_400: "d"}

Json = Annotated[bool, typer.Option("--json", help="Print one JSON value and nothing else.")]


def example(command: str) -> str:
    """The end of a command's help, in which the line is not wrapped."""
    return f"\b\nExample:\n  {command}"


def own_command() -> str:
    """This program as it can be typed here: `gatehouse` where that finds it, else the path by which it was called."""
    called = Path(sys.argv[0])
    if called.name != "gatehouse" or not called.is_file():
        return "gatehouse"
    found = shutil.which("gatehouse")
    return "gatehouse" if found and called.samefile(found) else shlex.quote(sys.argv[0])


def say_next(what: str, heading: str = "next") -> None:
    """What comes next, its commands as they can be typed here."""
    typer.echo(f"{heading}: " + re.sub(r"(?<!\S)gatehouse(?= [a-z])", lambda _: own_command(), what))


def print_json(value: Any) -> None:
    """One line of JSON."""
    typer.echo(json.dumps(value, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, wide: int = WIDE) -> None:
    """A table of which no cell is ever cut short, and none is broken but between words: ids can be copied.

    `wide`: how many columns it may take where it is not shown on a terminal.
    """
    console = Console(highlight=False)
    if not console.is_terminal:
        typer.echo("\n".join(_piped(columns, rows, wide)))
        return
    _draw(columns, rows, console.width)


def print_parts(columns: Sequence[str], rows: Sequence[Sequence[str]], remedies: Sequence[str | None]) -> None:
    """A table of parts and what to do about each; in files and pipes that stands below its part where lines would be too long."""
    whole = [(*row, remedy or "") for row, remedy in zip(rows, remedies, strict=True)]
    if Console().is_terminal or max(map(cell_len, _piped((*columns, TO_DO), whole, WIDE))) <= LONGEST_LINE:
        print_table((*columns, TO_DO), whole)
        return
    heading, rule, *lines = _piped(columns, rows, WIDE)
    typer.echo(f"{heading}\n{rule}")
    for line, remedy in zip(lines, remedies, strict=True):
        typer.echo(f"{line}\n    {TO_DO}: {remedy}" if remedy else line)


def _piped(columns: Sequence[str], rows: Sequence[Sequence[str]], wide: int) -> list[str]:
    """Its lines for files and pipes: nothing at their ends, and none is empty."""
    written = io.StringIO()
    _draw(columns, rows, wide, written)
    return [line.rstrip() for line in written.getvalue().splitlines() if line.strip()]


def _draw(columns: Sequence[str], rows: Sequence[Sequence[str]], most: int, file: IO[str] | None = None) -> None:
    cells = list(zip(columns, *rows, strict=True))
    room = most - _FRAME - _GAP * len(columns)
    widths = _widths([_widest(each, str.splitlines) for each in cells], [_widest(each, str.split) for each in cells], room)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column, width in zip(columns, widths, strict=True):
        table.add_column(column, overflow="fold", width=width)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    width = sum(widths) + _FRAME + _GAP * len(columns)
    # without a height a dumb terminal is taken for 80 wide
    Console(highlight=False, width=width, height=24, file=file).print(table)


def _widest(cells: Sequence[str], parts: Callable[[str], list[str]]) -> int:
    return max((cell_len(part) for cell in cells for part in parts(cell)), default=0)


def _widths(wanted: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """The widest column gives way first, none beyond its longest word; rich itself would drop columns on the right."""
    widths = list(wanted)
    while sum(widths) > room:
        give = [place for place, width in enumerate(widths) if width > least[place]]
        if not give:
            break
        widths[max(give, key=widths.__getitem__)] -= 1
    return widths


def moment(at: datetime | None) -> str | None:
    """ISO 8601 in UTC."""
    return None if at is None else at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def day(at: datetime | None, otherwise: str) -> str:
    """A moment for reading."""
    return otherwise if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def rate(value: Rate) -> str:
    """`5/s, burst 20`."""
    period = PERIODS.get(value.period_s) or f"{value.period_s} s"
    return f"{value.count:,}/{period}, burst {value.burst:,}"
