"""`gatehouse dev`: everything that a first call needs, then the server. Run again, it takes what is there."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from gatehouse.cli.contract_choice import named_contract
from gatehouse.cli.deployment import Deployment, open_deployment, settings_or_refusal
from gatehouse.cli.first_call import first_call
from gatehouse.cli.first_settings import add_missing_secrets, make_settings, set_port
from gatehouse.cli.output import example, own_command
from gatehouse.cli.publishing import PublishWish, publish_model
from gatehouse.cli.serve import listen, serve_settings
from gatehouse.cli.serve_metrics import metrics_served
from gatehouse.cli.settings_file import settings_file
from gatehouse.cli.signing_key import PUBLISHING_KEY, signer_of, trusted_keys_folder
from gatehouse.errors import Refused
from gatehouse.identity.key_wishes import KeyWish
from gatehouse.identity.keys import CreatedKey, create_key, list_keys
from gatehouse.identity.tenants import add_grant, create_tenant, list_grants, list_tenants
from gatehouse.migration.store import activate, api_versions_by_model, find_endpoint
from gatehouse.operating.published import check_loadable, repository_of

RECIPES = (("iris", "v1"), ("iris", "v2"), ("breast_cancer", "v1"), ("diabetes", "v1"))
TENANT = "demo"
PLAN = "standard"


def dev(
    port: Annotated[int | None, typer.Option("--port", min=1, max=65535, help="Port to listen on, from now on; 8000 at first.")] = None,
) -> None:
    """Prepare a local deployment in .gatehouse (settings, database, demo models, a tenant with a key), then serve it.

    Run again, it takes what is there.
    """
    begun = time.monotonic()
    file = settings_file()
    with step("settings") as done:
        done(write_settings(file, port))
    settings = settings_or_refusal()
    if settings.environment != "development":
        raise Refused(f"{file} is of a production deployment: serve it with gatehouse serve")
    listener = listen(settings)
    with step("database") as done, open_deployment() as deployment:
        done(f"{deployment.database.dialect}, migrated")
    with open_deployment() as deployment:
        with step("publishing key") as done:
            done(publishing_key(deployment))
        for model, api_version in RECIPES:
            with step(f"model {model} {api_version}") as done:
                done(publish_recipe(deployment, model, api_version))
        with step(f"tenant {TENANT}") as done:
            done(make_tenant(deployment))
        with step("key") as done:
            made = make_key(deployment)
            done("made; it is shown once, below" if made else "there is one already")
        call = first_call(deployment, made.tenant, made.grants).replace("$KEY", made.text) if made else None
    with step("server") as done:
        app = serve_settings(settings)
        done(f"listens on {settings.base_url}")
    typer.echo(f"\nReady after {time.monotonic() - begun:.1f} s. Reference: {settings.base_url}/docs   Stop: Ctrl-C")
    if made and call:
        typer.echo(f"\nAPI key of tenant {TENANT}, shown only now: {made.text}\n\n{call}\n")
    else:
        typer.echo(f"A new key: {own_command()} keys create --tenant {TENANT}\n")
    sys.stdout.flush()
    with metrics_served(settings):
        app.run(listener)


@contextmanager
def step(name: str) -> Iterator[Callable[[str], None]]:
    """One line about a step and its seconds, once it is done; meanwhile a moving sign on a terminal."""
    begun = time.monotonic()
    said: list[str] = []
    with Console(stderr=True).status(f"{name} …"):
        yield said.append
    typer.echo(f"{name:<24}{' '.join(said):<60} {time.monotonic() - begun:5.1f} s")


def write_settings(file: Path, port: int | None) -> str:
    """Make the settings file, or set the port in the one that is there."""
    if file.exists():
        added = [f"{name} made" for name in add_missing_secrets(file)]
        if port is not None:
            set_port(file, port)
            added.append(f"port {port} from now on")
        return "; ".join([f"{file} is there", *added])
    make_settings(file, port)
    return f"made {file} with new secrets"


def publishing_key(deployment: Deployment) -> str:
    """The key that signs what is published here, trusted here."""
    from gatehouse.serving.signing import trust_publishing_key

    signer, made = signer_of(deployment, None)
    if made:
        return f"made and trusted here: {signer.key_id}"
    again = trust_publishing_key(signer, trusted_keys_folder(deployment.settings))
    return f"{PUBLISHING_KEY} is there" + ("; trusted here again" if again else "")


def publish_recipe(deployment: Deployment, model: str, api_version: str) -> str:
    """Train, publish and activate one of Gatehouse's own recipes, unless its endpoint is there."""
    with deployment.database.read() as session:
        endpoint = find_endpoint(session, model, api_version)
    if endpoint is not None and endpoint.stable_version in repository_of(deployment.settings).versions(model):
        if endpoint.bridged_to is not None:  # its own model may be gone
            return f"bridged to {endpoint.bridged_to}"
        check_loadable(deployment.settings, model, endpoint.stable_version)
        return f"{endpoint.stable_version} is there"
    from gatehouse.serving.recipes import recipes_folder, train_recipe

    folder = recipes_folder() / model
    contract = folder / f"{api_version}.toml"
    if not contract.is_file():
        raise Refused(f"{contract} is missing: install Gatehouse again, or take the file from the repository")
    wish = PublishWish(train_recipe(folder, api_version), named_contract(contract, model))
    done = publish_model(deployment, wish, lambda _note: None)
    with deployment.database.write() as session:
        activate(session, deployment.actor, model, api_version)
    return f"trained and published {done.publication.version}, engine {done.publication.engine}"


def make_tenant(deployment: Deployment) -> str:
    """The demo tenant, which may call every demo model."""
    models = list(dict.fromkeys(model for model, _ in RECIPES))
    if TENANT not in {tenant.name for tenant in list_tenants(deployment.database)}:
        create_tenant(deployment.database, deployment.actor, TENANT, api_versions_by_model, plan=PLAN, models=models)
        return f"made; plan {PLAN}; may call {', '.join(models)}"
    granted = {grant.model for grant in list_grants(deployment.database, TENANT)}
    for model in models:
        if model not in granted:
            add_grant(deployment.database, deployment.actor, TENANT, model, api_versions_by_model)
    return "is there"


def make_key(deployment: Deployment) -> CreatedKey | None:
    """A key of the demo tenant, which is shown once; None when it has one."""
    if any(key.revoked_at is None for key in list_keys(deployment.database, TENANT)):
        return None
    return create_key(deployment.database, deployment.actor, TENANT, deployment.peppers.current, KeyWish(name="first"))


dev.__doc__ = (dev.__doc__ or "") + "\n\n" + example("gatehouse dev --port 8123")
