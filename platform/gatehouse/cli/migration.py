"""`gatehouse migration`: partners on their way from one API version to the next."""

import typer

from gatehouse.cli.migration_guide import guide
from gatehouse.cli.migration_report import report
from gatehouse.cli.output import example

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Partners on their way from one API version to the next.",
    epilog=example("gatehouse migration report iris v1 v2"),
)


@app.callback()
def _migration() -> None:
    """Partners on their way from one API version to the next."""


for command, shown in (
    (report, "gatehouse migration report iris v1 v2"),
    (guide, "gatehouse migration guide iris v1 v2 --format html --output moving-iris.html"),
):
    app.command(epilog=example(shown))(command)
