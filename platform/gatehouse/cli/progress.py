"""How far a long command is: a moving bar on a terminal, a line for each step elsewhere. On standard error."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


@contextmanager
def progress_bar(name: str, steps: int) -> Iterator[Callable[[str], None]]:
    """Gives what is called at the beginning of each of `steps`, or more often for a note."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda step: typer.echo(step, err=True)
        return
    columns = (SpinnerColumn(), BarColumn(20), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(name, total=steps)

        def begin(step: str) -> None:
            bar.update(task, advance=0.0 if bar.tasks[0].description == name else 1.0, description=step)

        yield begin
