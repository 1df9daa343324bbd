"""`gatehouse keys import`: many keys by one CSV file, all or none, shown once as CSV."""

from typing import TYPE_CHECKING

import typer

from gatehouse.cli.deployment import open_deployment
from gatehouse.cli.import_file import DryRun, File, read_import
from gatehouse.cli.key_answers import facts
from gatehouse.cli.output import Json, print_json
from gatehouse.cli.showing import check_there_is_output, told_if_not_shown

if TYPE_CHECKING:
    from gatehouse.identity.key_import import ImportedKeys

LOST = "the keys were made and nobody knows them: gatehouse keys list shows them, gatehouse keys rotate gives one another secret"


def import_key_file(file: File, dry_run: DryRun = False, json: Json = False) -> None:
    """Make the keys of a file and show them this once, as CSV. All are made, or none.

    Columns: tenant, name, scopes, expires_at and networks; only tenant is needed, and blanks divide what is in a cell.
    """
    # what other commands of keys need not wait for
    from gatehouse.cli.progress import progress_bar
    from gatehouse.identity.key_import import STEPS, import_keys

    source = read_import(file)
    check_there_is_output()
    with open_deployment() as deployment, progress_bar("keys", STEPS) as progress:
        pepper = deployment.peppers.current
        done = import_keys(deployment.database, deployment.actor, source, pepper, progress, dry_run=dry_run)
    if dry_run:
        _say_tried(done, json)
        return
    with told_if_not_shown(LOST):
        _say_keys(done, json)
    typer.echo(f"keys that were made: {done.lines:,}; they are shown this once, keep them now", err=True)


def _say_tried(done: "ImportedKeys", json: bool) -> None:
    if json:
        print_json({"dry_run": True, "lines": done.lines, "items": []})
    else:
        typer.echo(f"lines that can be made, which are all: {done.lines:,}; to make them: without --dry-run")


def _say_keys(done: "ImportedKeys", json: bool) -> None:
    if json:
        print_json({"dry_run": False, "lines": done.lines, "items": [{**facts(each.key), "key": each.text} for each in done.made]})
        return
    from gatehouse.usage.csv_text import csv_lines

    rows = [(each.key.tenant, each.key.name, each.key.id, each.text) for each in done.made]
    typer.echo(csv_lines([("tenant", "name", "id", "key"), *rows]), nl=False)
