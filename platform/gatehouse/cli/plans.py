"""`gatehouse plans`: named sets of limits."""

from dataclasses import replace
from typing import Annotated, cast

import typer

from gatehouse.cli.deployment import open_deployment
from gatehouse.cli.output import Json, example, print_json, print_table, rate, say_next
from gatehouse.cli.wishes import count_per_period, size
from gatehouse.identity import plans
from gatehouse.identity.tenants import DEFAULT_PLAN
from gatehouse.principal import LimitMode, Plan, QuotaMode, Rate

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="Named sets of limits.", epilog=example("gatehouse plans list")
)

Name = Annotated[str, typer.Argument(metavar="PLAN", help="The plan's name.")]
Requests = Annotated[str | None, typer.Option("--requests", metavar="RATE", help="Calls, such as 5/s or 100/min.")]
RequestsBurst = Annotated[int | None, typer.Option("--requests-burst", help="Calls that may come at once.")]
Rows = Annotated[str | None, typer.Option("--rows", metavar="RATE", help="Rows, such as 1000/s.")]
RowsBurst = Annotated[int | None, typer.Option("--rows-burst", help="Rows that may come at once.")]
RowsPerMonth = Annotated[int | None, typer.Option("--rows-per-month", help="The quota of rows in a calendar month (UTC).")]
Quota = Annotated[str | None, typer.Option("--quota", metavar="hard|soft", help="Whether the quota refuses (hard) or only counts (soft).")]
RequestsMode = Annotated[
    str | None, typer.Option("--requests-mode", metavar="enforce|observe", help="Whether limits of calls refuse or only watch.")
]
RowsMode = Annotated[
    str | None, typer.Option("--rows-mode", metavar="enforce|observe", help="Whether limits of rows refuse or only watch.")
]
RowsPerCall = Annotated[int | None, typer.Option("--rows-per-call", help="Rows in one call.")]
BytesPerCall = Annotated[str | None, typer.Option("--bytes-per-call", metavar="SIZE", help="Body of one call, such as 1MiB.")]


@app.command("list", epilog=example("gatehouse plans list --json"))
def show_all(json: Json = False) -> None:
    """List all plans with their limits."""
    with open_deployment() as deployment:
        found = plans.list_plans(deployment.database)
    if json:
        print_json([plans.facts_of_plan(plan) for plan in found])
        return
    _print(found)


@app.command(epilog=example("gatehouse plans show trial"))
def show(plan: Name, json: Json = False) -> None:
    """Show the limits of one plan."""
    with open_deployment() as deployment:
        found = plans.show_plan(deployment.database, plan)
    _answer(found, json, "to change it", f"gatehouse plans edit {plan}")


@app.command(epilog=example("gatehouse plans create gold --requests 100/s --requests-burst 400 --rows-per-month 5000000 --quota soft"))
def create(
    plan: Name,
    requests: Requests = None,
    requests_burst: RequestsBurst = None,
    rows: Rows = None,
    rows_burst: RowsBurst = None,
    rows_per_month: RowsPerMonth = None,
    quota: Quota = None,
    rows_per_call: RowsPerCall = None,
    bytes_per_call: BytesPerCall = None,
    requests_mode: RequestsMode = None,
    rows_mode: RowsMode = None,
    json: Json = False,
) -> None:
    """Add a plan; what is not given is as in the plan trial."""
    with open_deployment() as deployment:
        trial = next(known for known in plans.list_plans(deployment.database) if known.name == DEFAULT_PLAN)
        limits = _with_rates(replace(trial, name=plan), requests, requests_burst, rows, rows_burst)
        limits = _with_modes(limits, requests_mode, rows_mode)
        made = plans.create_plan(
            deployment.database, deployment.actor, _with_sizes(limits, rows_per_month, quota, rows_per_call, bytes_per_call)
        )
    _answer(made, json, "next", f"gatehouse tenants create acme --plan {plan}")


@app.command(epilog=example("gatehouse plans edit trial --rows-per-month 20000 --rows-mode observe"))
def edit(
    plan: Name,
    requests: Requests = None,
    requests_burst: RequestsBurst = None,
    rows: Rows = None,
    rows_burst: RowsBurst = None,
    rows_per_month: RowsPerMonth = None,
    quota: Quota = None,
    rows_per_call: RowsPerCall = None,
    bytes_per_call: BytesPerCall = None,
    requests_mode: RequestsMode = None,
    rows_mode: RowsMode = None,
    json: Json = False,
) -> None:
    """Change limits of a plan; its tenants have them within a second."""

    def changed(before: Plan) -> Plan:
        limits = _with_modes(_with_rates(before, requests, requests_burst, rows, rows_burst), requests_mode, rows_mode)
        return _with_sizes(limits, rows_per_month, quota, rows_per_call, bytes_per_call)

    with open_deployment() as deployment:
        made = plans.edit_plan(deployment.database, deployment.actor, plan, changed)
    _answer(made, json, "its tenants", "gatehouse tenants list")


def _with_rates(plan: Plan, requests: str | None, requests_burst: int | None, rows: str | None, rows_burst: int | None) -> Plan:
    return replace(plan, requests=_rate(plan.requests, requests, requests_burst), rows=_rate(plan.rows, rows, rows_burst))


def _with_modes(plan: Plan, requests: str | None, rows: str | None) -> Plan:
    return replace(
        plan,
        requests_mode=plan.requests_mode if requests is None else cast(LimitMode, requests),
        rows_mode=plan.rows_mode if rows is None else cast(LimitMode, rows),
    )


def _rate(before: Rate, wanted: str | None, burst: int | None) -> Rate:
    count, period_s = (before.count, before.period_s) if wanted is None else count_per_period(wanted)
    return Rate(count, period_s, before.burst if burst is None else burst)


def _with_sizes(plan: Plan, rows_per_month: int | None, quota: str | None, rows_per_call: int | None, bytes_per_call: str | None) -> Plan:
    return replace(
        plan,
        rows_per_month=plan.rows_per_month if rows_per_month is None else rows_per_month,
        quota_mode=plan.quota_mode if quota is None else cast(QuotaMode, quota),
        rows_per_call=plan.rows_per_call if rows_per_call is None else rows_per_call,
        bytes_per_call=plan.bytes_per_call if bytes_per_call is None else size(bytes_per_call),
    )


def _answer(plan: Plan, json: bool, heading: str, then: str) -> None:
    if json:
        print_json(plans.facts_of_plan(plan))
        return
    _print([plan])
    say_next(then, heading)


def _print(found: list[Plan]) -> None:
    columns = ("plan", "calls", "rows", "rows a month", "quota", "rows a call", "bytes a call")
    print_table(columns, [_row(plan) for plan in found])


def _row(plan: Plan) -> tuple[str, ...]:
    sizes = (f"{plan.rows_per_call:,}", f"{plan.bytes_per_call:,}")
    return (
        plan.name,
        _limit(plan.requests, plan.requests_mode),
        _limit(plan.rows, plan.rows_mode),
        f"{plan.rows_per_month:,}",
        plan.quota_mode,
        *sizes,
    )


def _limit(value: Rate, mode: LimitMode) -> str:
    return rate(value) if mode == "enforce" else f"{rate(value)} (observed)"
