"""`gatehouse tenants import`: many tenants by one CSV file, all or none."""

import typer

from gatehouse.cli.deployment import open_deployment
from gatehouse.cli.import_file import DryRun, File, read_import
from gatehouse.cli.output import Json, print_json
from gatehouse.cli.tenant_facts import facts
from gatehouse.migration.store import api_versions_by_model


def import_tenant_file(file: File, dry_run: DryRun = False, json: Json = False) -> None:
    """Add the tenants of a file: columns name, plan and models (blanks between them). All are made, or none."""
    # what other commands of tenants need not wait for
    from gatehouse.cli.progress import progress_bar
    from gatehouse.identity.tenant_import import STEPS, import_tenants

    source = read_import(file)
    with open_deployment() as deployment, progress_bar("tenants", STEPS) as progress:
        done = import_tenants(deployment.database, deployment.actor, source, api_versions_by_model, progress, dry_run=dry_run)
    if json:
        print_json({"dry_run": dry_run, "lines": done.lines, "items": [facts(each.tenant, each.grants) for each in done.made]})
    elif dry_run:
        typer.echo(f"lines that can be made, which are all: {done.lines:,}; to make them: without --dry-run")
    else:
        typer.echo(f"tenants that were made: {done.lines:,}; their keys: gatehouse keys import FILE")
