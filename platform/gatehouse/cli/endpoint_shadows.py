"""`gatehouse endpoints shadows`: what the shadows of an endpoint came to, by other version and tenant."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from gatehouse.cli.deployment import open_deployment
from gatehouse.cli.endpoint_facts import ApiVersion, Model
from gatehouse.cli.output import Json, print_json, print_table
from gatehouse.identity.tenants import named_tenant
from gatehouse.migration.report_facts import failures_text
from gatehouse.migration.report_standing import first_day
from gatehouse.migration.shadow import ShadowFigures
from gatehouse.migration.store import named_endpoint
from gatehouse.operating.shadow_report import shadow_report, shadow_rows

COLUMNS = (
    *("other version", "tenant", "calls", "dropped", "failed", "rows compared", "% otherwise"),
    *("shift: mean", "5 %", "50 %", "95 %", "rows not upgraded"),
)


def shadows(
    model: Model,
    api_version: ApiVersion,
    tenant: Annotated[str | None, typer.Option("--tenant", help="Of one tenant alone.")] = None,
    json: Json = False,
) -> None:
    """Show what shadows of an endpoint came to in the last 30 days, by other version and tenant; also when they have ended."""
    now = datetime.now(UTC)
    since = first_day(now)
    with open_deployment() as deployment, deployment.database.read() as session:
        endpoint = named_endpoint(session, model, api_version)
        tenant_id = None if tenant is None else named_tenant(session, tenant).id
        found = shadow_rows(session, model, api_version, now, tenant_id)
    if json:
        print_json(shadow_report(model, api_version, now, found))
    elif not found:
        begin = f"gatehouse endpoints shadow {model} {api_version} --with vN --share 100"
        whose = f" of {tenant}" if tenant else ""
        typer.echo(f"no call{whose} to {endpoint.name} was compared since {since} (UTC): {begin}")
    else:
        typer.echo(f"what other versions would have answered callers of {endpoint.name} since {since} (UTC)")
        print_table(COLUMNS, [_row(each.shadowed.figures, each.tenant) for each in found])
        for each in found:
            if each.shadowed.failures:
                place = f"{each.tenant}, {each.shadowed.figures.other_version}"
                typer.echo(f"{place}: rows not upgraded: {failures_text(each.shadowed.failures)}")


def _row(figures: ShadowFigures, tenant: str) -> tuple[str, ...]:
    calls = (f"{number:,}" for number in (figures.calls, figures.dropped, figures.failed, figures.compared))
    otherwise = f"{100 * figures.disagreed / figures.compared:.1f}" if figures.compared else ""
    quantiles = (_shift(figures.shift_quantiles.get(percent)) for percent in (5, 50, 95))
    return (figures.other_version, tenant, *calls, otherwise, _shift(figures.shift_mean), *quantiles, f"{figures.not_upgraded:,}")


def _shift(shift: float | None) -> str:
    if shift is None:
        return ""
    return f"{shift:+.4g}" if shift else "0"
