"""`gatehouse notices`: what partners were told by webhook, and what waits."""

import json as json_text
from typing import Annotated, Any

import typer

from gatehouse.cli.deployment import open_deployment
from gatehouse.cli.output import Json, day, example, moment, print_json, print_table
from gatehouse.identity.tenants import named_tenant
from gatehouse.notices.history import notice_of
from gatehouse.notices.history import replay as replay_notice
from gatehouse.notices.store import Notice, list_notices

MOST = 10_000
app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="What partners were told by webhook, and what waits.",
    epilog=example("gatehouse notices list --tenant acme"),
)

Id = Annotated[str, typer.Argument(metavar="ID", help="A notice's id: gatehouse notices list.")]


@app.command("list", epilog=example("gatehouse notices list --tenant acme --json"))
def show_all(
    tenant: Annotated[str | None, typer.Option("--tenant", help="Of one tenant alone.")] = None,
    newest: Annotated[int, typer.Option("--newest", min=1, max=MOST, help="How many.")] = 100,
    json: Json = False,
) -> None:
    """List notices, the newest first."""
    with open_deployment() as deployment, deployment.database.read() as session:
        tenant_id = None if tenant is None else named_tenant(session, tenant).id
        found = list_notices(session, tenant_id, newest)
    if json:
        print_json([_facts(notice) for notice in found])
        return
    if not found:
        typer.echo("there are no notices yet: tenants are told when 80 % and 100 % of a quota are used")
        return
    columns = ("id", "tenant", "kind", "event", "threshold", "since", "state", "attempts", "last outcome")
    print_table(columns, [_row(notice) for notice in found])


@app.command(epilog=example("gatehouse notices show ntc_5c0e3f8a1b2d4c6e8f901234"))
def show(notice_id: Id, json: Json = False) -> None:
    """Show one notice with its body."""
    with open_deployment() as deployment, deployment.database.read() as session:
        notice = notice_of(session, notice_id)
    if json:
        print_json(_facts(notice) | {"body": json_text.loads(notice.body)})
        return
    typer.echo(f"notice {notice.id} to {notice.tenant}: {notice.kind}, {notice.event}, threshold {notice.threshold}")
    typer.echo(f"state:    {notice.state}, {notice.attempts} attempts, since {day(notice.created_at, '')}")
    typer.echo(f"last:     {day(notice.last_attempt_at, 'never sent')}, {notice.last_outcome or 'no outcome'}")
    if notice.due_at is not None and notice.state in ("waiting", "retrying"):
        typer.echo(f"next:     {day(notice.due_at, '')}")
    typer.echo(f"body:     {notice.body}")
    typer.echo(f"to send it again: gatehouse notices replay {notice.id}")


@app.command(epilog=example("gatehouse notices replay ntc_5c0e3f8a1b2d4c6e8f901234"))
def replay(notice_id: Id, json: Json = False) -> None:
    """Send a notice again, with the same id and body; a running server does it within seconds."""
    with open_deployment() as deployment, deployment.database.write() as session:
        notice = replay_notice(session, deployment.actor, notice_id)
    if json:
        print_json(_facts(notice))
        return
    typer.echo(f"notice {notice.id} is sent to {notice.tenant} again by the next server that looks, within seconds")


def _row(notice: Notice) -> tuple[str, ...]:
    what = (notice.id, notice.tenant, notice.kind, notice.event, notice.threshold)
    return (*what, day(notice.created_at, ""), notice.state, str(notice.attempts), notice.last_outcome or "")


def _facts(notice: Notice) -> dict[str, Any]:
    names = ("id", "tenant", "kind", "event", "threshold", "state", "attempts", "last_outcome")
    times = ("created_at", "last_attempt_at", "due_at", "delivered_at")
    return {name: getattr(notice, name) for name in names} | {name: moment(getattr(notice, name)) for name in times}
