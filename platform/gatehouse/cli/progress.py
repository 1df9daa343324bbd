"""How far a long command is: a moving bar on a terminal, a line for each step elsewhere. On standard error."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

UNSEEN_S = 1.0
LINE_EVERY_S = 5.0


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


@contextmanager
def amount_bar(name: str, total: int, now: Callable[[], float] = time.monotonic) -> Iterator[Callable[[int], None]]:
    """Gives what is called with how much more of `total` is done; says nothing of what is over within a second."""
    console = Console(stderr=True)
    columns = (BarColumn(20), TaskProgressColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    bar = Progress(*columns, console=console, transient=True)
    task = bar.add_task(name, total=total)
    say_at = now() + UNSEEN_S

    def more(amount: int) -> None:
        nonlocal say_at
        bar.advance(task, amount)
        if now() < say_at:
            return
        if console.is_terminal:
            bar.start()
        else:
            typer.echo(f"{name}: {bar.tasks[0].percentage:.0f} %", err=True)
            say_at = now() + LINE_EVERY_S

    try:
        yield more
    finally:
        if bar.live.is_started:
            bar.stop()
