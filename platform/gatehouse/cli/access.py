"""What a tenant may do now, and the command that is useful next."""

import typer

from gatehouse.cli.deployment import Deployment
from gatehouse.cli.output import say_next
from gatehouse.identity.store import Grant, Tenant
from gatehouse.identity.tenants import list_grants
from gatehouse.migration.store import api_versions_by_model
from gatehouse.principal import OPERATOR_TENANT


def say_access(deployment: Deployment, tenant: Tenant, grants: list[Grant], *, then: str | None = None) -> None:
    """Print what the tenant may call, then what to do about it (`then` unless something is missing)."""
    if tenant.suspended_at is not None:
        typer.echo(f"{tenant.name} is suspended, its keys and tokens are refused: gatehouse tenants resume {tenant.name}")
        return
    if not grants:
        typer.echo(nothing_yet(deployment, tenant.name))
        return
    default = f"; default model {tenant.default_model}" if tenant.default_model else ""
    typer.echo(f"{tenant.name} may call: {described(grants)}{default}")
    if tenant.default_model is None:
        first = grants[0].model
        typer.echo(f"/v1/predict serves no model for {tenant.name}: gatehouse tenants edit {tenant.name} --default-model {first}")
    elif then is not None:
        say_next(then)


def nothing_yet(deployment: Deployment, tenant: str) -> str:
    """One line for a tenant without a grant."""
    if tenant == OPERATOR_TENANT:
        return f"{tenant} calls no model; its keys are for operators: gatehouse keys list --tenant {tenant}"
    with deployment.database.read() as session:
        models = sorted(api_versions_by_model(session))
    if not models:
        return f"{tenant} may call nothing yet, and no model is published: gatehouse models publish FILE --sample rows.csv"
    others = f" (or {', '.join(models[1:])})" if models[1:] else ""
    return f"{tenant} may call nothing yet: gatehouse grants add {tenant} {models[0]}{others}"


def described(grants: list[Grant]) -> str:
    """`churn, iris v1`: a model without a version stands for all of them."""
    return ", ".join(grant.model if grant.api_version is None else f"{grant.model} {grant.api_version}" for grant in grants)


def grants_of(deployment: Deployment, tenant: str) -> list[Grant]:
    return list_grants(deployment.database, tenant)
