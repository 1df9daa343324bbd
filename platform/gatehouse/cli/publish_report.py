"""What `models publish` says: the contract that it drafted, a summary, what partners see now, and what comes next."""

from typing import Any

import typer

from gatehouse.cli.contract_choice import ContractChoice
from gatehouse.cli.deployment import Deployment
from gatehouse.cli.output import print_table, say_next
from gatehouse.cli.publishing import Published
from gatehouse.contracts.proved_upgrade import proof_facts
from gatehouse.identity.tenants import list_grants, list_tenants
from gatehouse.migration.endpoint import Endpoint
from gatehouse.principal import OPERATOR_TENANT

WIDE = 120
"""Columns of the summary: people read it in the logs of a build, too."""


def show_draft(choice: ContractChoice) -> None:
    """On standard error, so that `--json` prints one value."""
    typer.echo(f"{choice.origin} is drafted. What partners may send and will get:\n", err=True)
    typer.echo("\n".join(f"    {line}".rstrip() for line in choice.source.decode().splitlines()), err=True)
    typer.echo("\nit is used as it stands. Under this API version it may later allow more, never less:", err=True)
    typer.echo("to write bounds, names or labels first, begin with gatehouse contracts draft", err=True)


def report(deployment: Deployment, done: Published) -> None:
    """A table, then one line on what partners see now and one on what comes next."""
    print_table(("published", f"{done.publication.model} {done.publication.version}"), _rows(done), wide=WIDE)
    model, api_version = done.endpoint.model, done.endpoint.api_version
    if not done.live:
        _say_waiting(done)
        return
    url = f"{deployment.settings.base_url}/{api_version}/models/{model}/predict"
    if done.endpoint.state == "preview":
        typer.echo(f"partners see nothing of it yet: {done.endpoint.name} is a preview, which only a grant of {api_version} by name opens")
        say_next(f"gatehouse grants add TENANT {model} --api-version {api_version}", "who may try it")
        say_next(f"gatehouse endpoints activate {model} {api_version}", f"next, for all that may call {model}")
        return
    callers = _callers(deployment, done.endpoint)
    who = f"{', '.join(callers)} may call it" if callers else "nobody may call it yet"
    typer.echo(f"partners get it at {url}, from a running server within a second; {who}")
    say_next(_next(deployment, model, callers))


def _say_waiting(done: Published) -> None:
    """What serves partners goes on; how the new version comes to serve them."""
    place, version = f"{done.endpoint.model} {done.endpoint.api_version}", f"--version {done.publication.version}"
    if done.endpoint.bridged_to is not None:
        typer.echo(f"partners go on with {done.endpoint.bridged_to}, to which {done.endpoint.name} is bridged; nothing changes for them")
        say_next(f"gatehouse endpoints unbridge {place} {version}", "to let this version serve them instead")
        return
    typer.echo(f"partners go on with {done.endpoint.stable_version}; nothing changes for them until you let the new version serve:")
    release = f"gatehouse endpoints release {place} {version}"
    say_next(release)
    say_next(f"{release} --canary 10", "or for a tenth of the keys first")


def _served_by(endpoint: Endpoint) -> str:
    return f"bridged to {endpoint.bridged_to}" if endpoint.bridged_to else f"serves {endpoint.stable_version}"


def facts(done: Published) -> dict[str, Any]:
    """The same for programs."""
    publication = done.publication
    parity = publication.parity
    return {
        "model": publication.model,
        "version": publication.version,
        "api_version": publication.api_version,
        "contract": done.contract.origin,
        "contract_drafted": done.contract.drafted,
        "engine": publication.engine,
        "engine_reason": publication.engine_reason,
        "parity_rows": None if parity is None else parity.rows,
        "worst_difference": None if parity is None else parity.worst_difference,
        "embedded_data": [each.place for each in publication.embedded_data],
        "publishing_key": publication.publishing_key,
        "upgrades": proof_facts(done.upgrades),
        "live": done.live,
        "state": done.endpoint.state,
        "stable_version": done.endpoint.stable_version,
    }


def _rows(done: Published) -> list[tuple[str, str]]:
    publication, parity = done.publication, done.publication.parity
    revision = publication.version.rpartition(".")[0]
    rows = [
        ("contract", f"{done.contract.origin}{', drafted now' * done.contract.drafted}; revision {revision}"),
        ("engine", publication.engine + (f": {publication.engine_reason}" if publication.engine_reason else "")),
    ]
    if parity is not None and parity.passed:
        rows.append(("parity", f"{parity.rows:,} rows answered as by scikit-learn; worst difference {parity.worst_difference:.1g}"))
    if publication.embedded_data:
        rows.append(("training rows", f"kept in {', '.join(each.place for each in publication.embedded_data)}; accepted and audited"))
    rows.extend((f"upgrade from {each.api_version}", str(each)) for each in done.upgrades)
    made = ", made now and trusted here, as this is a development deployment" * done.made_key
    rows.append(("signed by", f"publishing key {publication.publishing_key}{made}"))
    rows.append(("endpoint", f"{done.endpoint.name}, {done.endpoint.state}, {_served_by(done.endpoint)}"))
    return rows


def _callers(deployment: Deployment, endpoint: Endpoint) -> list[str]:
    """Tenants whose grants cover it, by name; the first few."""
    grants = [grant for grant in list_grants(deployment.database) if grant.model == endpoint.model]
    names = sorted({grant.tenant for grant in grants if grant.api_version in (None, endpoint.api_version)})
    return names if len(names) <= 3 else [*names[:3], f"{len(names) - 3} more"]


def _next(deployment: Deployment, model: str, callers: list[str]) -> str:
    if callers:
        return f"gatehouse models rows {model} --sample rows.csv"
    if any(tenant.name != OPERATOR_TENANT for tenant in list_tenants(deployment.database)):
        return f"gatehouse grants add TENANT {model}"
    return f"gatehouse tenants create acme --models {model}"
