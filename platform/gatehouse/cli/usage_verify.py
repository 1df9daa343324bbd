"""`gatehouse usage verify`: events are added up again and held against the sums that are kept."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from gatehouse.cli.deployment import open_deployment
from gatehouse.cli.output import Json, print_json, print_table
from gatehouse.cli.progress import progress_bar
from gatehouse.cli.usage_lines import counted, in_order
from gatehouse.cli.wishes import past_day
from gatehouse.db.session import Database
from gatehouse.identity.tenants import named_tenant
from gatehouse.usage.ledger_store import Checked, Difference, TenantDay, check, hold_still, tenant_days, tenant_names
from gatehouse.usage.summary import SUMS

SHOWN = 50


def verify(
    tenant: Annotated[str | None, typer.Option("--tenant", help="Of one tenant; of all unless given.")] = None,
    since: Annotated[str | None, typer.Option("--since", metavar="WHEN", help="First day: 7d ago or a date (UTC).")] = None,
    json: Json = False,
) -> None:
    """Prove that every sum equals its events; a sealed day, whose events are gone, its seal. Exits with 1 where one does not."""
    first = None if since is None else past_day(since)
    with open_deployment() as deployment:
        with deployment.database.read() as session:
            tenant_id = None if tenant is None else named_tenant(session, tenant).id
            names = tenant_names(session)
            days = in_order(tenant_days(session, tenant_id, first, None), names)
        with progress_bar("verify", len(days)) as begin:
            checked = [_checked(deployment.database, of, begin, names) for of in days]
    differences = [difference for each in checked for difference in each.differences]
    if json:
        print_json(_facts(checked, differences, names))
    else:
        _say(checked, differences, names)
    if differences:
        raise typer.Exit(1)


def _checked(database: Database, of: TenantDay, begin: Callable[[str], None], names: Mapping[str, str]) -> Checked:
    begin(f"{names.get(of.tenant_id, of.tenant_id)} {of.date}")
    with database.read() as session:
        hold_still(session)
        return check(session, of)


def _say(checked: list[Checked], differences: list[Difference], names: Mapping[str, str]) -> None:
    if differences:
        columns = ("tenant", "day", "of", "key id", "model", "API version", "status", "sum", "expected", "found")
        print_table(columns, [_row(each, names) for each in differences[:SHOWN]])
        more = f" ({len(differences) - SHOWN:,} more: --json shows all)" if len(differences) > SHOWN else ""
        typer.echo(f"{len(differences):,} sums do not equal what they were made of{more}; the events are the evidence, nothing was changed")
        return
    sealed = sum(each.sealed for each in checked)
    events, days = sum(each.events for each in checked), len(checked) - sealed
    typer.echo(f"{counted(events, 'event')} of {counted(days, 'tenant-day')} equal their sums by hour and by day")
    if sealed:
        typer.echo(f"{counted(sealed, 'tenant-day')} whose events are gone equal their seals")


def _row(difference: Difference, names: Mapping[str, str]) -> tuple[str, ...]:
    of = difference.of
    part = ("all", "all", "all", "all") if difference.part is None else tuple(str(each) or "none" for each in difference.part)
    wrong = next(place for place in range(len(SUMS)) if difference.expected[place] != difference.found[place])
    sums = (SUMS[wrong], f"{difference.expected[wrong]:,}", f"{difference.found[wrong]:,}")
    return names.get(of.tenant_id, of.tenant_id), of.date.isoformat(), difference.what, *part, *sums


def _facts(checked: list[Checked], differences: list[Difference], names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "equal": not differences,
        "days": sum(not each.sealed for each in checked),
        "events": sum(each.events for each in checked),
        "sealed_days": sum(each.sealed for each in checked),
        "differences": [_difference(each, names) for each in differences],
    }


def _difference(difference: Difference, names: Mapping[str, str]) -> dict[str, Any]:
    key, model, version, status = difference.part or (None, None, None, None)
    return {
        "tenant": names.get(difference.of.tenant_id, difference.of.tenant_id),
        "day": difference.of.date.isoformat(),
        "of": difference.what,
        "key_id": key,
        "model": model or None,
        "api_version": version or None,
        "status": status,
        "expected": dict(zip(SUMS, difference.expected, strict=True)),
        "found": dict(zip(SUMS, difference.found, strict=True)),
    }
