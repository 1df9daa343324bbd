"""`gatehouse audit`: who changed what, when, from where, and the proof that nobody has changed that since."""

from typing import Annotated

import typer

from gatehouse.cli.audit_export import export
from gatehouse.cli.audit_rows import ACTION, ACTOR, REQUEST, SINCE, SUBJECT, UNTIL, facts, lines, wanted_rows
from gatehouse.cli.audit_verify import verify
from gatehouse.cli.deployment import open_deployment
from gatehouse.cli.output import Json, day, example, print_json, print_table
from gatehouse.db.audit_trail import find_entry, newest_entries
from gatehouse.errors import Refused

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Who changed what, in a chain that can be proven.",
    epilog=example("gatehouse audit list --since 7d"),
)
MOST = 1_000


@app.command("list", epilog=example("gatehouse audit list --action key --since 7d"))
def show_all(
    actor: ACTOR = None,
    action: ACTION = None,
    subject: SUBJECT = None,
    request: REQUEST = None,
    since: SINCE = None,
    until: UNTIL = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=MOST, help="So many rows, the newest.")] = 50,
    before: Annotated[int | None, typer.Option("--before", metavar="ID", min=1, help="Only rows older than this one.")] = None,
    json: Json = False,
) -> None:
    """List changes and refused admin calls, the newest first."""
    wanted = wanted_rows(actor, action, subject, request, since, until)
    with open_deployment() as deployment, deployment.database.read() as session:
        found = newest_entries(session, wanted, limit + 1, before)
    rows, more = found[:limit], len(found) > limit
    if json:
        print_json([facts(row) for row in rows])
        return
    if not rows:
        typer.echo("no such rows")
        return
    columns = ("id", "at", "who", "from", "did", "to")
    print_table(columns, [(f"{row.id}", day(row.at, "no moment"), row.actor, row.source, row.action, row.subject) for row in rows])
    typer.echo(f"gatehouse audit show {rows[0].id} shows one whole" + (f"; older ones: --before {rows[-1].id}" if more else ""))


@app.command(epilog=example("gatehouse audit show 57"))
def show(id: Annotated[int, typer.Argument(metavar="ID", min=1, help="The row's id.")], json: Json = False) -> None:
    """Show one row: who, what, when, from where, before and after."""
    with open_deployment() as deployment, deployment.database.read() as session:
        row = find_entry(session, id)
    if row is None:
        raise Refused(f"there is no row {id}: gatehouse audit list shows those there are")
    if json:
        print_json(facts(row))
        return
    for line in lines(row):
        typer.echo(line)


for command, shown in (
    (verify, "gatehouse audit verify"),
    (export, "gatehouse audit export --since 30d --output audit.csv"),
):
    app.command(epilog=example(shown))(command)
