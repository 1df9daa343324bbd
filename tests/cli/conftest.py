"""The command line in this process, on a deployment of its own."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from audit_keys import AUDIT_KEY, AUDIT_KEYS
from contract_text import pair_contract
from sklearn.linear_model import LogisticRegression
from stage import ACTOR
from typer.testing import CliRunner

from gatehouse.cli import app
from gatehouse.db.session import open_database
from gatehouse.migration.store import activate, create_endpoint
from gatehouse.serving.signing import create_publishing_key

SECRETS = {
    "GATEHOUSE_SECRET_KEY": "qL5wNxZ0bH8rT2vYk7mPd4sJfG9aCe6U",
    "GATEHOUSE_KEY_PEPPER": "Wz3uRk8nXb1cVt6yMh0pLq5jDs9gFa2E",
    "GATEHOUSE_AUDIT_KEY": AUDIT_KEY,
    "GATEHOUSE_DATABASE_WAIT_S": "0",
}


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    error: str

    @property
    def json(self) -> Any:
        """The one JSON value that was printed."""
        assert self.out.count("\n") == 1
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.out.splitlines() if line.strip()]


Gatehouse = Callable[..., Answer]


@pytest.fixture(scope="session")
def estimator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small fitted estimator, as joblib wrote it."""
    rows = np.random.default_rng(7).uniform(-4, 4, (200, 2))
    file = tmp_path_factory.mktemp("estimator") / "pair.joblib"
    joblib.dump(LogisticRegression().fit(rows, (rows.sum(axis=1) > 0).astype(int)), file)
    return file


@pytest.fixture
def contract(tmp_path: Path) -> Callable[[str, str], Path]:
    """Writes the contract of `model` and `api_version` for the estimator."""

    def write(model: str, api_version: str = "v1") -> Path:
        file = tmp_path / f"{model}-{api_version}.toml"
        file.write_text(pair_contract(model, api_version))
        return file

    return write


@pytest.fixture
def state_dir(tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty deployment: secrets in the environment, a migrated database."""
    folder = tmp_path / ".gatehouse"
    folder.mkdir()
    shutil.copyfile(sqlite_template, folder / "gatehouse.db")
    for name, value in {**SECRETS, "GATEHOUSE_STATE_DIR": str(folder)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("GATEHOUSE_DATABASE_URL", raising=False)
    return folder


@pytest.fixture
def gatehouse(state_dir: Path) -> Gatehouse:
    """Gives a command to the deployment, and `given` on its standard input, and expects its exit code."""

    def run(*arguments: str, code: int = 0, given: str | None = None) -> Answer:
        result = CliRunner().invoke(app, [*map(str, arguments)], prog_name="gatehouse", input=given)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return Answer(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture(scope="session")
def _published(tmp_path_factory: pytest.TempPathFactory, estimator: Path, sqlite_template: Path) -> Path:
    """A deployment in which `pair` 1.0.0 is published."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("published")
        shutil.copyfile(sqlite_template, folder / "gatehouse.db")
        create_publishing_key(folder / "publishing-key.pem", folder / "trusted-keys")
        (folder / "contract.toml").write_text(pair_contract())
        for name, value in {**SECRETS, "GATEHOUSE_STATE_DIR": str(folder)}.items():
            patch.setenv(name, value)
        result = CliRunner().invoke(app, ["models", "publish", str(estimator), "--contract", str(folder / "contract.toml")])
        assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def published(_published: Path, state_dir: Path, gatehouse: Gatehouse) -> Gatehouse:
    """Like `gatehouse`, on a deployment in which the model `pair` is published."""
    shutil.rmtree(state_dir)
    shutil.copytree(_published, state_dir)
    return gatehouse


@pytest.fixture
def two_versions(gatehouse: Gatehouse, state_dir: Path) -> Gatehouse:
    """A deployment with iris v1 and v2, which acme may call."""
    database = open_database(f"sqlite:///{state_dir / 'gatehouse.db'}", AUDIT_KEYS)
    with database.write() as session:
        for version in ("1.0.0", "2.0.0"):
            create_endpoint(session, ACTOR, "iris", version)
        activate(session, ACTOR, "iris", "v2")
    database.close()
    gatehouse("tenants", "create", "acme", "--models", "iris")
    return gatehouse
