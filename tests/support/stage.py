"""A whole deployment for tests of the running app: published models, settings, tenants and keys, and the server that ships."""

import fcntl
import io
import json
import os
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import joblib
import numpy as np
import pytest
import uvicorn
from contract_text import head
from estimators import Crowd, Fragile, Line, Slow
from secrecy import keep_what_is_sent, remember, watch_answer, watch_audit
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from gatehouse.app import Application, create_app
from gatehouse.contracts.contract import parse_contract
from gatehouse.db.audit import Actor
from gatehouse.db.audit_keys import AuditKeys
from gatehouse.db.revision import last_revision
from gatehouse.db.session import Database, open_database
from gatehouse.identity.key_wishes import KeyWish
from gatehouse.identity.keys import DEFAULT_GRACE, create_key, edit_key, revoke_key, rotate_key
from gatehouse.identity.peppers import Peppers
from gatehouse.identity.plans import create_plan, edit_plan
from gatehouse.identity.tenants import add_grant, create_tenant, suspend_tenant
from gatehouse.migration.store import activate, api_versions_by_model, create_endpoint
from gatehouse.principal import Plan, Rate
from gatehouse.server.run import bind, server_for
from gatehouse.serving.publish import publish
from gatehouse.serving.recipes import train_recipe
from gatehouse.serving.repository import Repository
from gatehouse.serving.signing import Signer, TrustedKeys, create_publishing_key
from gatehouse.settings import Settings, settings_from

ROOT = Path(__file__).resolve().parents[2]
ACTOR = Actor("os-user:test", "cli")
IRIS_ROW = {"sepal_length": 5.2, "sepal_width": 3.6, "petal_length": 1.5, "petal_width": 0.3}
MIXED_ROW = {"amount": 20.5, "visits": 3, "member": True, "colour": "red", "note": "hello"}
WIDE = Plan("wide", Rate(100_000, 1, 100_000), Rate(1_000_000, 1, 10_000_000), 10**9, "soft", 100_000, 64 * 1024 * 1024)

MIXED_TOML = """
format = 1
model = "mixed"
api_version = "v1"
[features.amount]
type = "number"
unit = "EUR"
minimum = 0
maximum = 1000
nullable = true
example = 20.5
[features.visits]
type = "integer"
minimum = 0
maximum = 50
example = 3
[features.member]
type = "boolean"
required = false
default = false
example = true
[features.colour]
type = "category"
allowed = ["red", "green", "blue"]
example = "red"
[features.note]
type = "text"
max_length = 20
required = false
default = ""
example = "hello"
[output]
task = "classification"
labels = [{class = "no", name = "stays"}, {class = "yes", name = "leaves"}]
returns = ["label", "confidence", "probabilities"]
decimals = 3
"""
ONE_NUMBER_TOML = (
    head("{model}", size=(0, 200, 1.5))
    + """[output]
task = "regression"
returns = ["value"]
decimals = 2
"""
)
CROWD_TOML = (
    head("crowd", size=(0, 200, 1.5), weight=(0, 200, 2.5))
    + """[output]
task = "classification"
labels = [{class = 0, name = "light"}, {class = 1, name = "heavy"}]
returns = ["label", "confidence", "probabilities"]
decimals = 9
"""
)


def crowd_estimator() -> Any:
    """Every row has probabilities of its own."""
    rows = np.random.default_rng(5).uniform(0, 200, (200, 2))
    return Crowd().fit(rows, (rows[:, 1] > rows[:, 0]).astype(int))


def mixed_estimator() -> Any:
    """Columns by place: amount, visits, member, colour, note. Only visits and colour are used."""
    rows = np.array([[1.0, n % 9, n % 2 == 0, ("red", "green", "blue")[n % 3], "x"] for n in range(60)], dtype=object)
    columns = ColumnTransformer([("colour", OneHotEncoder(handle_unknown="ignore"), [3]), ("visits", "passthrough", [1])])
    return Pipeline([("columns", columns), ("model", LogisticRegression())]).fit(rows, ["yes" if n % 3 == 0 else "no" for n in range(60)])


def _artifact(estimator: Any) -> bytes:
    target = io.BytesIO()
    joblib.dump(estimator, target)
    return target.getvalue()


def _catalogue() -> dict[str, tuple[Callable[[], bytes], bytes]]:
    recipe = ROOT / "models" / "iris"
    line = (np.array([[1.0], [2.0]]), [1.0, 2.0])
    numbers = {name: ONE_NUMBER_TOML.format(model=name).encode() for name in ("line", "slow", "fragile")}
    return {
        "iris v1": (lambda: train_recipe(recipe, "v1"), (recipe / "v1.toml").read_bytes()),
        "iris v2": (lambda: train_recipe(recipe, "v2"), (recipe / "v2.toml").read_bytes()),
        "mixed v1": (lambda: _artifact(mixed_estimator()), MIXED_TOML.encode()),
        "line v1": (lambda: _artifact(Line().fit(*line)), numbers["line"]),
        "slow v1": (lambda: _artifact(Slow().fit(*line)), numbers["slow"]),
        "crowd v1": (lambda: _artifact(crowd_estimator()), CROWD_TOML.encode()),
        "fragile v1": (lambda: _artifact(Fragile().fit(*line)), numbers["fragile"]),
    }


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `models` and `trusted-keys`, made once by all processes of a test run, which divide the work."""
    own = tmp_path_factory.getbasetemp()
    shared = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "published"
    shared.mkdir(exist_ok=True)
    private_key = shared / "publishing-key.pem"
    _once(shared / "key", fcntl.LOCK_EX, lambda: create_publishing_key(private_key, shared / "trusted-keys"))
    repository = Repository(shared / "models", TrustedKeys.load(shared / "trusted-keys"))
    for way in (fcntl.LOCK_EX | fcntl.LOCK_NB, fcntl.LOCK_EX):  # first what nobody is at, then wait for the rest
        for name, made in _catalogue().items():
            _once(shared / name, way, partial(_publish, repository, Signer.load(private_key), name, *made))
    return shared


def _once(done: Path, way: int, make: Callable[[], object]) -> None:
    """Make what `done` stands for unless it is there; leave it to whoever is at it where `way` does not wait."""
    with done.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, way)
        except BlockingIOError:
            return
        if not done.exists():
            make()
            done.touch()


def _publish(repository: Repository, signer: Signer, name: str, make: Callable[[], bytes], source: bytes) -> None:
    contract = parse_contract(source, name)
    version = f"{contract.api_version[1:]}.0.0"
    now = datetime.now(UTC)
    publish(make(), contract, source, version=version, repository=repository, signer=signer, progress=lambda _note: None, now=now)


class Stage:
    """One deployment. Tenants and keys are made through the rooms' own operations, as the commands do.

    It has every endpoint of the catalogue, unless a test or module says by `pytest.mark.endpoints("iris v1", …)` that it calls these alone:
    each process that it starts would import scikit-learn for the others.
    """

    def __init__(self, state_dir: Path, published: Path, database_url: str, only: Sequence[str] = (), **values: str) -> None:
        for name in ("models", "trusted-keys"):
            shutil.copytree(published / name, state_dir / name)
        self.state_dir = state_dir
        self.values = {
            "GATEHOUSE_SECRET_KEY": secrets.token_urlsafe(32),
            "GATEHOUSE_KEY_PEPPER": secrets.token_urlsafe(32),
            "GATEHOUSE_AUDIT_KEY": secrets.token_urlsafe(32),
            "GATEHOUSE_DATABASE_URL": database_url,
            "GATEHOUSE_FAILED_CREDENTIALS_PER_MINUTE": "100000",
            "GATEHOUSE_TOKEN_REQUESTS_PER_MINUTE": "100000",
            "GATEHOUSE_ACCOUNT_REQUESTS_PER_MINUTE": "100000",
            "GATEHOUSE_SPOOL_MIN_FREE_BYTES": "0",
            "GATEHOUSE_DRAIN_S": "0",
            "GATEHOUSE_ALLOWED_HOSTS": "*.test, a, evil.invalid",  # the last so that no answer is seen to follow an allowed Host
            **{f"GATEHOUSE_{name.upper()}": value for name, value in values.items()},
        }
        self.database: Database = open_database(database_url, AuditKeys(self.settings.audit_keys))
        with self.database.write() as session:
            for name in only or _catalogue():
                model, _, version = name.partition(" ")
                create_endpoint(session, ACTOR, model, f"{version[1:]}.0.0")
                if version != "v1":
                    activate(session, ACTOR, model, version)
        create_plan(self.database, ACTOR, WIDE)
        self.issued: list[str] = []

    @property
    def settings(self) -> Settings:
        return settings_from(self.values, self.state_dir)

    def tenant(self, name: str, *models: str, plan: str = "wide") -> str:
        """A new tenant that may call these models; returns a key."""
        create_tenant(self.database, ACTOR, name, api_versions_by_model, plan=plan, models=models)
        return self.key(name)

    def key(self, tenant: str, **wish: Any) -> str:
        """A further key."""
        text = remember(create_key(self.database, ACTOR, tenant, self.peppers.current, KeyWish(**wish)).text)
        self.issued.append(text)
        return text

    def close(self) -> None:
        with self.database.read() as session:
            watch_audit(session)
        self.database.close()

    @property
    def peppers(self) -> Peppers:
        return Peppers(self.settings.key_peppers)

    def grant(self, tenant: str, model: str, api_version: str | None = None) -> None:
        add_grant(self.database, ACTOR, tenant, model, api_versions_by_model, api_version=api_version)

    def revoke(self, key: str) -> None:
        revoke_key(self.database, ACTOR, key_id(key))

    def edit(self, key: str, **members: Any) -> None:
        """Change a key as an operator does."""
        edit_key(self.database, ACTOR, key_id(key), lambda before: replace(before, **members))

    def rotate(self, key: str, grace: timedelta = DEFAULT_GRACE) -> str:
        """A key's new secret."""
        text = remember(rotate_key(self.database, ACTOR, key_id(key), self.peppers.current, grace).text)
        self.issued.append(text)
        return text

    def suspend(self, tenant: str) -> None:
        suspend_tenant(self.database, ACTOR, tenant)

    def plan(self, plan: Plan) -> str:
        create_plan(self.database, ACTOR, plan)
        return plan.name

    def edit_plan(self, name: str, **limits: Any) -> None:
        """Change a plan as an operator does."""
        edit_plan(self.database, ACTOR, name, lambda before: replace(before, **limits))

    @contextmanager
    def serving(self, grace_s: float = 30, **values: str) -> Iterator["Live"]:
        """The app that ships, on a port of its own, in a thread; calls have `grace_s` when it ends."""
        listener = bind("127.0.0.1", 0)
        port = listener.getsockname()[1]
        more = {f"GATEHOUSE_{name.upper()}": value for name, value in values.items()}
        given = settings_from(self.values | {"GATEHOUSE_LISTEN_PORT": str(port)} | more, self.state_dir)
        app = create_app(given)
        server = server_for(app, app.connections, grace_s, given.drain_s)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="server")
        thread.start()
        try:
            wait_until(lambda: server.started or not thread.is_alive())
            hooks = {"request": [keep_what_is_sent], "response": [watch_answer]}
            # there is no TLS here, and the system's certificates take 25 ms to load
            with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, event_hooks=hooks, verify=False) as client:
                yield Live(self, app, client, server)
        finally:
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive()


class Live:
    """A running server and a client for it."""

    def __init__(self, stage: Stage, app: Application, client: httpx2.Client, server: uvicorn.Server) -> None:
        self.stage = stage
        self.app = app
        self.client = client
        self.server = server
        self.base_url = str(client.base_url).rstrip("/")
        self.port = int(self.base_url.rpartition(":")[2])

    def predict(self, key: str, body: Any, path: str = "/v1/models/iris/predict", **headers: str) -> httpx2.Response:
        """POST a body (bytes as they are, anything else as JSON)."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"authorization": f"Bearer {key}", "content-type": "application/json"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        return self.client.post(path, content=content, headers=given)

    def caught_up(self) -> None:
        """Wait until all changes have been taken in: whoever calls from now on stays known without the database."""
        with self.stage.database.read() as session:
            newest = last_revision(session)
        wait_until(lambda: self.app.process._revision >= newest)

    def get(self, path: str, key: str | None = None) -> httpx2.Response:
        return self.client.get(path, headers={"authorization": f"Bearer {key}"} if key else {})


def token_of(live: Live, key: str) -> str:
    """An access token of the key."""
    form = {"grant_type": "client_credentials", "client_id": key_id(key), "client_secret": key}
    token: str = live.client.post("/oauth/token", data=form).raise_for_status().json()["access_token"]
    return token


def key_id(key: str) -> str:
    """The id inside a key."""
    return key.split("_")[1]


def instances(*rows: dict[str, Any]) -> dict[str, Any]:
    """A body of records."""
    return {"instances": list(rows)}


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> float:
    """Wait for a condition; returns the seconds that it took. Fails when they are over."""
    begun = time.monotonic()
    while not condition():
        if time.monotonic() - begun > seconds:
            raise AssertionError(f"not so after {seconds} s")
        time.sleep(0.005)
    return time.monotonic() - begun


def problem(answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """The problem document of an answer, which must be of this status and code."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    document: dict[str, Any] = answer.json()
    assert (document["status"], document["code"]) == (status, code), document
    assert document["type"].endswith(f"/errors/{code}")
    assert document["request_id"] == answer.headers["x-request-id"]
    return document


def _only(request: pytest.FixtureRequest) -> Sequence[str]:
    marker = request.node.get_closest_marker("endpoints")
    return marker.args if marker else ()


@pytest.fixture(scope="module")
def module_stage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, published: Path, sqlite_template: Path
) -> Iterator[Stage]:
    """A deployment on SQLite for a whole module; tests in it use tenants of their own."""
    folder = tmp_path_factory.mktemp("stage")
    shutil.copyfile(sqlite_template, folder / "gatehouse.db")
    made = Stage(folder, published, f"sqlite:///{folder / 'gatehouse.db'}", _only(request))
    yield made
    made.close()


@pytest.fixture(scope="module")
def live(module_stage: Stage) -> Iterator[Live]:
    """A server for a whole module."""
    with module_stage.serving() as running:
        yield running


@pytest.fixture
def stage(request: pytest.FixtureRequest, tmp_path: Path, published: Path, sqlite_url: str) -> Iterator[Stage]:
    """A deployment on SQLite of a test's own."""
    (tmp_path / "state").mkdir()
    made = Stage(tmp_path / "state", published, sqlite_url, _only(request))
    yield made
    made.close()


@pytest.fixture
def stage_on_each_database(request: pytest.FixtureRequest, tmp_path: Path, published: Path, database_url: str) -> Iterator[Stage]:
    """A deployment of a test's own, once on SQLite and once on PostgreSQL."""
    (tmp_path / "state").mkdir()
    made = Stage(tmp_path / "state", published, database_url, _only(request))
    yield made
    made.close()
