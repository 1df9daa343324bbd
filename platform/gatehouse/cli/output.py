"""How commands answer: tables for reading, one JSON value for programs."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gatehouse.principal import Rate

WIDE = 10_000
"""Columns of a table that no terminal shows: nothing is folded in files and pipes."""
PERIODS = {1: "s", 60: "min", 3600: "h", 86_400: "d"}

Json = Annotated[bool, typer.Option("--json", help="Print one JSON value and nothing else.")]


def example(command: str) -> str:
    """The end of a command's help, in which the line is not wrapped."""
    return f"\b\nExample:\n  {command}"


def print_json(value: Any) -> None:
    """One line of JSON."""
    typer.echo(json.dumps(value, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, wide: int = WIDE) -> None:
    """A table of which no cell is ever cut short, and none is broken but between words: ids can be copied.

    `wide`: how many columns it may take where it is not shown on a terminal.
    """
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for place, column in enumerate(columns):
        words = [word for row in rows for word in row[place].split(" ")]
        table.add_column(column, overflow="fold", min_width=max(map(len, (*words, *column.split(" ")))))
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console = Console(highlight=False)
    needed = console.measure(table, options=console.options.update_width(WIDE)).minimum
    Console(highlight=False, width=max(console.width if console.is_terminal else wide, needed)).print(table)


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
