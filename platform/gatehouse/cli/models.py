"""`gatehouse models`: publish model versions and see what is published."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from gatehouse.cli.contract_choice import draft_kept
from gatehouse.cli.deployment import open_deployment
from gatehouse.cli.drafting import FEATURES_HELP, LABELS_HELP, TARGETS_HELP, told_by
from gatehouse.cli.first_settings import first_deployment
from gatehouse.cli.given_file import read_file
from gatehouse.cli.output import Json, example, print_json, print_table
from gatehouse.cli.progress import progress_bar
from gatehouse.cli.publish_report import facts, report, show_draft
from gatehouse.cli.publish_request import PublishRequest, wish_of
from gatehouse.cli.publishing import STEPS, publish_model
from gatehouse.cli.served_rows import EPILOG, show_rows
from gatehouse.cli.signing_key import PUBLISHING_KEY
from gatehouse.migration.endpoint import Endpoint
from gatehouse.operating.model_list import list_models, model_facts
from gatehouse.serving.options import PublishOptions

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Publish model versions and see what is published.",
    epilog=example("gatehouse models publish churn.joblib --sample rows.csv"),
)


@app.command(
    "publish",
    epilog=example(
        "gatehouse models publish churn.joblib --sample rows.csv\n  gatehouse models publish churn.joblib --version 1.1.0 --json"
    ),
)
def publish_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The fitted estimator, written by joblib. Your own: loading it runs it.")],
    sample: Annotated[
        Path | None, typer.Option("--sample", metavar="CSV", help="Some rows with a header: for the draft, and for where to try the model.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", metavar="NAME", help="The file's name unless given.")] = None,
    version: Annotated[str | None, typer.Option("--version", help="MAJOR.MINOR.PATCH; the next free one unless given.")] = None,
    contract: Annotated[
        Path | None, typer.Option("--contract", metavar="FILE", help="models/NAME/v1.toml unless given; drafted where it is missing.")
    ] = None,
    features: Annotated[str | None, typer.Option("--features", metavar="A,B,…", help=FEATURES_HELP)] = None,
    labels: Annotated[list[str] | None, typer.Option("--labels", metavar="A,B,…", help=LABELS_HELP)] = None,
    targets: Annotated[str | None, typer.Option("--targets", metavar="A,B,…", help=TARGETS_HELP)] = None,
    code: Annotated[Path | None, typer.Option("--code", metavar="FILE", help="Defines what the file takes from your notebook.")] = None,
    allow_code: Annotated[bool, typer.Option("--allow-code", help="Let servers run that code, where ONNX does not do.")] = False,
    sklearn: Annotated[
        str | None, typer.Option("--sklearn", metavar="VERSION", help="The scikit-learn that saved the file, such as 1.5.2.")
    ] = None,
    accept_embedded_data: Annotated[
        bool, typer.Option("--accept-embedded-data", help="Publish an estimator that keeps training rows; audited.")
    ] = False,
    training_rows: Annotated[
        int | None, typer.Option("--training-rows", metavar="N", min=1, help="How many rows it was fitted on, to find what keeps them.")
    ] = None,
    publishing_key: Annotated[
        Path | None,
        typer.Option("--publishing-key", metavar="FILE", help=f"What signs it, unless the state folder's {PUBLISHING_KEY}."),
    ] = None,
    json: Json = False,
) -> None:
    """Check, sign and publish a model version; a model's first one goes live."""
    options = PublishOptions(
        code=None if code is None else read_file(code),
        allow_code=allow_code,
        sklearn_version=sklearn,
        accept_embedded_data=accept_embedded_data,
        training_rows=training_rows,
    )
    request = PublishRequest(file, told_by(features, labels, targets), options, model, version, contract, sample, publishing_key)
    with first_deployment() as made, open_deployment() as deployment:
        wish = wish_of(request, deployment.settings, show_draft)
        with draft_kept(wish.contract), progress_bar("publishing", STEPS) as progress:
            done = publish_model(deployment, wish, progress)
    if made:
        typer.echo(made, err=True)
    if json:
        print_json(facts(done))
        return
    with open_deployment() as deployment:  # anew: what fails from here on undoes nothing
        report(deployment, done)


app.command("rows", epilog=EPILOG)(show_rows)


@app.command("list", epilog=example("gatehouse models list --json"))
def show_all(json: Json = False) -> None:
    """List published models with their versions and endpoints."""
    with open_deployment() as deployment, deployment.database.read() as session:
        models = list_models(session, deployment.settings)
    if json:
        now = datetime.now(UTC)
        print_json([model_facts(each, now) for each in models])
        return
    if not models:
        typer.echo(f"no model is published yet in {deployment.settings.state_dir}: gatehouse models publish FILE --sample rows.csv")
        return
    rows = [
        (each.model, ", ".join(each.versions) or "missing", "; ".join(_described(endpoint) for endpoint in each.endpoints) or "none yet")
        for each in models
    ]
    print_table(("model", "published versions", "endpoints"), rows)


def _described(endpoint: Endpoint) -> str:
    serves = f"bridged to {endpoint.bridged_to}" if endpoint.bridged_to else f"serves {endpoint.stable_version}"
    return f"{endpoint.api_version} {endpoint.state_at(datetime.now(UTC))}, {serves}"
