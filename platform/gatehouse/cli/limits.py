"""`gatehouse limits`: what callers are allowed, and whether the limits hold."""

import typer

from gatehouse.cli.limits_selftest import selftest
from gatehouse.cli.limits_show import show
from gatehouse.cli.output import example

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="What callers are allowed, and whether the limits hold.",
    epilog=example("gatehouse limits show acme"),
)

app.command(epilog=example("gatehouse limits show acme --json"))(show)
app.command(epilog=example("gatehouse limits selftest"))(selftest)


@app.callback()
def _limits() -> None:
    """What callers are allowed, and whether the limits hold."""
