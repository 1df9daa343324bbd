"""`gatehouse dev`: everything that a first call needs, then the server. Run again, it takes what is there."""

import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from gatehouse.cli.deployment import Deployment, open_deployment, settings_or_refusal
from gatehouse.cli.first_call import first_call
from gatehouse.cli.output import example
from gatehouse.cli.publishing import PUBLISHING_KEY, contract_of, publish_model, repository_of
from gatehouse.cli.serve import listen, serve_settings
from gatehouse.errors import Refused
from gatehouse.identity.keys import CreatedKey, KeyWish, Pepper, create_key, list_keys
from gatehouse.identity.tenants import add_grant, create_tenant, list_grants, list_tenants
from gatehouse.migration.store import activate, api_versions_by_model, find_endpoint
from gatehouse.settings import SETTINGS_FILE, Settings, find_state_dir

REPOSITORY = Path(__file__).resolve().parents[3]
RECIPES = (("iris", "v1"), ("iris", "v2"), ("breast_cancer", "v1"), ("diabetes", "v1"))
TENANT = "demo"
PLAN = "standard"
MADE_HERE = {"GATEHOUSE_ENVIRONMENT": "development", "GATEHOUSE_DOCS": "open"}
SECRETS = ("GATEHOUSE_SECRET_KEY", "GATEHOUSE_KEY_PEPPER")


def dev(
    port: Annotated[int | None, typer.Option("--port", min=1, max=65535, help="Port to listen on, from now on; 8000 at first.")] = None,
) -> None:
    """Prepare a local deployment in .gatehouse (settings, database, demo models, a tenant with a key), then serve it.

    Run again, it takes what is there.
    """
    begun = time.monotonic()
    state_dir = find_state_dir(os.environ, Path.cwd())
    with step("settings") as done:
        done(write_settings(state_dir / SETTINGS_FILE, port))
    settings = settings_or_refusal()
    if settings.environment != "development":
        raise Refused(f"{state_dir / SETTINGS_FILE} is of a production deployment: serve it with gatehouse serve")
    listener = listen(settings)
    with step("publishing key") as done:
        done(make_publishing_key(settings))
    with step("database") as done, open_deployment() as deployment:
        done(f"{deployment.database.dialect}, migrated")
    with open_deployment() as deployment:
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
    app.run(listener)


def own_command() -> str:
    """This command as it can be typed here."""
    called = Path(sys.argv[0])
    try:
        return str(called.resolve().relative_to(Path.cwd()))
    except ValueError:
        return called.name


@contextmanager
def step(name: str) -> Iterator[Callable[[str], None]]:
    """One line about a step and its seconds, once it is done; meanwhile a moving sign on a terminal."""
    begun = time.monotonic()
    said: list[str] = []
    with Console(stderr=True).status(f"{name} …"):
        yield said.append
    typer.echo(f"{name:<24}{' '.join(said):<60} {time.monotonic() - begun:5.1f} s")


def write_settings(file: Path, port: int | None) -> str:
    """Make the settings file with secrets of its own (mode 600) from the example, or set the port in the one that is there."""
    if file.exists():
        if port is not None:
            _write_private(file, _with_values(file.read_text(encoding="utf-8"), {"GATEHOUSE_LISTEN_PORT": str(port)}))
        return f"{file} is there" + ("" if port is None else f"; port {port} from now on")
    example = REPOSITORY / ".env.example"
    if not example.is_file():
        raise Refused("gatehouse dev needs the repository with its models/ and .env.example: clone it, and run make run there")
    values = MADE_HERE | {name: secrets.token_urlsafe(32) for name in SECRETS}
    if port is not None:
        values["GATEHOUSE_LISTEN_PORT"] = str(port)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write_private(file, _with_values(example.read_text(encoding="utf-8"), values))
    return f"made {file} with new secrets"


def make_publishing_key(settings: Settings) -> str:
    """The key that signs what is published here, trusted here."""
    from gatehouse.serving.signing import PublishingKeyUnusable, Signer, create_publishing_key, trust_publishing_key

    path, trusted = settings.state_dir / PUBLISHING_KEY, settings.under_state(settings.trusted_keys_dir)
    if not path.exists():
        return f"made and trusted here: {create_publishing_key(path, trusted).key_id}"
    try:
        signer = Signer.load(path)
    except PublishingKeyUnusable as error:
        raise Refused(str(error)) from None
    return f"{path.name} is there" + ("; trusted here again" if trust_publishing_key(signer, trusted) else "")


def publish_recipe(deployment: Deployment, model: str, api_version: str) -> str:
    """Train, publish and activate one of the repository's recipes, unless its endpoint is there."""
    with deployment.database.read() as session:
        endpoint = find_endpoint(session, model, api_version)
    if endpoint is not None and endpoint.stable_version in repository_of(deployment.settings).versions(model):
        contract_of(deployment.settings, model, endpoint.stable_version)  # refuses what a server would not load
        return f"{endpoint.stable_version} is there"
    from gatehouse.serving.recipes import train_recipe

    folder = REPOSITORY / "models" / model
    contract = folder / f"{api_version}.toml"
    if not contract.is_file():
        raise Refused(f"{contract} is missing: run this in a clone of the repository")
    done = publish_model(
        deployment,
        train_recipe(folder, api_version),
        contract.read_bytes(),
        origin=str(contract),
        publishing_key=deployment.settings.state_dir / PUBLISHING_KEY,
        progress=lambda _note: None,
    )
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
    pepper = Pepper(deployment.settings.key_pepper.get_secret_value().encode())
    return create_key(deployment.database, deployment.actor, TENANT, pepper, KeyWish(name="first"))


def _with_values(text: str, values: dict[str, str]) -> str:
    """The settings text with some values set, each where it stands or at the end."""
    left = dict(values)
    lines = []
    for line in text.splitlines():
        name = line.partition("=")[0].strip()
        lines.append(f"{name}={left.pop(name)}" if name in left else line)
    return "\n".join([*lines, *(f"{name}={value}" for name, value in left.items())]) + "\n"


def _write_private(file: Path, text: str) -> None:
    temporary = file.with_suffix(".new")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as handle:
        handle.write(text)
    temporary.replace(file)


dev.__doc__ = (dev.__doc__ or "") + "\n\n" + example("gatehouse dev --port 8123")
