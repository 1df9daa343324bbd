"""`gatehouse models`: publish model versions and see what is published."""

from pathlib import Path
from typing import Annotated, Any

import typer

from gatehouse.cli.deployment import open_deployment
from gatehouse.cli.output import Json, example, print_json, print_table
from gatehouse.cli.publishing import PUBLISHING_KEY, Published, publish_model, repository_of
from gatehouse.errors import Refused
from gatehouse.migration.endpoint import Endpoint
from gatehouse.migration.store import list_endpoints

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Publish model versions and see what is published.",
    epilog=example("gatehouse models publish churn.joblib --contract churn-v1.toml"),
)


@app.command("publish", epilog=example("gatehouse models publish churn.joblib --contract churn-v1.toml --version 1.1.0"))
def publish_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The fitted estimator, written by joblib. Your own: loading it runs it.")],
    contract: Annotated[Path, typer.Option("--contract", metavar="FILE", help="The contract, a TOML file.")],
    version: Annotated[str | None, typer.Option("--version", help="MAJOR.MINOR.PATCH; the next free patch unless given.")] = None,
    publishing_key: Annotated[
        Path | None,
        typer.Option("--publishing-key", metavar="FILE", help=f"What signs it, unless the state folder's {PUBLISHING_KEY}."),
    ] = None,
    json: Json = False,
) -> None:
    """Check, sign and publish a model version; a model's first one goes live."""
    artifact, contract_source = _read(file), _read(contract)
    with open_deployment() as deployment:
        done = publish_model(
            deployment,
            artifact,
            contract_source,
            origin=str(contract),
            publishing_key=publishing_key or deployment.settings.state_dir / PUBLISHING_KEY,
            progress=lambda note: typer.echo(note, err=True),
            version=version,
        )
    if json:
        print_json(_facts(done))
        return
    _say(done)


@app.command("list", epilog=example("gatehouse models list --json"))
def show_all(json: Json = False) -> None:
    """List published models with their versions and endpoints."""
    with open_deployment() as deployment:
        repository = repository_of(deployment.settings)
        with deployment.database.read() as session:
            endpoints = list_endpoints(session)
    models = sorted({*repository.models(), *(endpoint.model for endpoint in endpoints)})
    of = {model: [endpoint for endpoint in endpoints if endpoint.model == model] for model in models}
    if json:
        print_json([_model_facts(model, repository.versions(model), of[model]) for model in models])
        return
    if not models:
        typer.echo("no model is published yet: gatehouse models publish FILE --contract FILE")
        return
    rows = [
        (model, ", ".join(repository.versions(model)) or "missing", ", ".join(_described(endpoint) for endpoint in of[model]) or "none yet")
        for model in models
    ]
    print_table(("model", "published versions", "endpoints"), rows)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise Refused(f"{file} cannot be read: {error.strerror}") from None


def _described(endpoint: Endpoint) -> str:
    return f"{endpoint.api_version} {endpoint.state}, serves {endpoint.stable_version}"


def _say(done: Published) -> None:
    publication, endpoint = done.publication, done.endpoint
    kept = f" ({publication.engine_reason})" if publication.engine_reason else ""
    typer.echo(f"{publication.model} {publication.version} is published; engine {publication.engine}{kept}")
    if not done.live:
        released = f"gatehouse endpoints release {publication.model} {endpoint.api_version} --version {publication.version}"
        typer.echo(f"{endpoint.name} goes on with {endpoint.stable_version}; to let the new version serve it: {released}")
        return
    typer.echo(f"it serves {endpoint.name}, which is {endpoint.state}")
    if endpoint.state == "preview":
        typer.echo(f"who may try it: gatehouse grants add TENANT {endpoint.model} --api-version {endpoint.api_version}")
        typer.echo(f"for all that may call {endpoint.model}: gatehouse endpoints activate {endpoint.model} {endpoint.api_version}")
        return
    typer.echo(f"next: gatehouse grants add TENANT {publication.model}")


def _facts(done: Published) -> dict[str, Any]:
    publication = done.publication
    return {
        "model": publication.model,
        "version": publication.version,
        "api_version": publication.api_version,
        "engine": publication.engine,
        "engine_reason": publication.engine_reason,
        "live": done.live,
        "state": done.endpoint.state,
        "stable_version": done.endpoint.stable_version,
    }


def _model_facts(model: str, versions: tuple[str, ...], endpoints: list[Endpoint]) -> dict[str, Any]:
    shown = [{"api_version": each.api_version, "state": each.state, "stable_version": each.stable_version} for each in endpoints]
    return {"model": model, "versions": list(versions), "endpoints": shown}
