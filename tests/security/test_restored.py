"""A backup that is restored elsewhere, under other secrets: nothing in it lets anybody in, signs anything or can be read."""

import copy
import os
import secrets
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from logged_in import invited
from stage import ACTOR, IRIS_ROW, Live, Stage, instances, key_id, problem
from typer.testing import CliRunner

from gatehouse.app import create_app
from gatehouse.cli import app
from gatehouse.db.session import open_database
from gatehouse.identity.sealing import Seal, TokenKeyUnreadable, readable
from gatehouse.identity.store import find_tenant
from gatehouse.identity.token_keys import read_token_keys
from gatehouse.notices.target_store import list_targets
from gatehouse.notices.targets import create_target, sealed_name
from gatehouse.principal import TENANT_SCOPES, Role

PASSWORD = "a walk along the canal 41"
SECRETS = ("GATEHOUSE_SECRET_KEY", "GATEHOUSE_KEY_PEPPER", "GATEHOUSE_AUDIT_KEY")


@dataclass(frozen=True)
class Used:
    """A deployment that was used; what its callers hold, and the backup of its state folder."""

    stage: Stage
    keys: Sequence[str]
    tokens: Sequence[str]
    code: str
    notice_secret: str
    backup: Path

    @property
    def held(self) -> list[str]:
        """Every secret, and of each key the secret part alone."""
        own = [self.stage.values[name] for name in SECRETS]
        return [*self.keys, *(key[22:-6] for key in self.keys), *self.tokens, self.code, PASSWORD, self.notice_secret, *own]


@pytest.fixture(scope="module")
def used(module_stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Used:
    stage = module_stage
    keys = [stage.tenant("acme", "iris"), stage.key("acme", scopes=TENANT_SCOPES)]
    keys.append(stage.rotate(keys[0]))
    first, late = (invited(stage, name, Role.TENANT_ADMIN, "acme") for name in ("first", "late"))
    with stage.database.write() as session:
        tenant, seal = find_tenant(session, "acme"), Seal(*stage.settings.secret_keys)
        assert tenant is not None
        _, secret = create_target(session, ACTOR, tenant.id, tenant.name, "https://hooks.example.org/", (), seal)
    with stage.serving() as live:
        assert {live.predict(key, instances(IRIS_ROW)).status_code for key in keys} == {200}
        tokens = [access_token(live, keys[0]).json()["access_token"]]
        assert accept(live, first.code).status_code == 204
        tokens.append(live.client.post("/login", json={"name": "first@acme", "password": PASSWORD}).json()["access_token"])
        made = live.client.post("/account/keys", json={}, headers={"authorization": f"Bearer {tokens[1]}"}).json()
        keys.append(made["key"])
    return Used(stage, keys, tokens, late.code, secret, backed_up(stage, tmp_path_factory.mktemp("backup")))


def backed_up(stage: Stage, folder: Path) -> Path:
    """All of the state folder but the settings."""
    shutil.copytree(stage.state_dir, folder, ignore=shutil.ignore_patterns("gatehouse.db*", "settings.env"), dirs_exist_ok=True)
    source, target = sqlite3.connect(stage.state_dir / "gatehouse.db"), sqlite3.connect(folder / "gatehouse.db")
    source.backup(target)
    source.close()
    target.close()
    return folder


def access_token(live: Live, key: str) -> httpx2.Response:
    return live.client.post("/oauth/token", data={"grant_type": "client_credentials", "client_id": key_id(key), "client_secret": key})


def accept(live: Live, code: str) -> httpx2.Response:
    return live.client.post("/login/accept", json={"code": code, "password": PASSWORD})


@pytest.fixture
def restored(used: Used, tmp_path: Path) -> Iterator[Stage]:
    """The backup, elsewhere, with the settings that it came from."""
    folder = tmp_path / "elsewhere"
    shutil.copytree(used.backup, folder)
    stage = copy.copy(used.stage)
    url = f"sqlite:///{folder / 'gatehouse.db'}"
    stage.state_dir, stage.values = folder, {**used.stage.values, "GATEHOUSE_DATABASE_URL": url}
    stage.database = open_database(url, stage.database.audit_keys)
    yield stage
    stage.database.close()


@pytest.fixture
def elsewhere(restored: Stage) -> Stage:
    """The same, where nobody knows these secrets: the audit key has a version of its own, or nothing would start at all."""
    restored.values |= {name: secrets.token_urlsafe(32) for name in SECRETS} | {"GATEHOUSE_AUDIT_KEY_VERSION": "2"}
    return restored


def gatehouse(stage: Stage, *arguments: str, code: int = 0) -> str:
    """What a command says of this deployment."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("GATEHOUSE_")]:
            patch.delenv(name)
        for name, value in {**stage.values, "GATEHOUSE_STATE_DIR": str(stage.state_dir)}.items():
            patch.setenv(name, value)
        done = CliRunner().invoke(app, list(arguments), prog_name="gatehouse")
    assert done.exit_code == code, done.output
    return done.output


def test_row_108_no_file_of_a_backup_holds_a_secret(used: Used) -> None:
    files = [file.read_bytes() for file in used.backup.rglob("*") if file.is_file()]
    with sqlite3.connect(used.backup / "gatehouse.db") as database:
        files.append("\n".join(database.iterdump()).encode())
    database.close()
    for secret in [*used.held, "PRIVATE KEY"]:
        assert not [content for content in files if secret.encode() in content]


def test_row_108_with_its_own_secrets_a_backup_is_all_there(used: Used, restored: Stage) -> None:
    with restored.serving() as live:
        assert {live.predict(key, instances(IRIS_ROW)).status_code for key in used.keys} == {200}
        assert accept(live, used.code).status_code == 204
    seal = Seal(*restored.settings.secret_keys)
    assert all(readable(seal, key.kid, key.private_sealed) for key in read_token_keys(restored.database))
    gatehouse(restored, "audit", "verify")


def test_row_108_under_another_secret_no_token_key_signs_and_nothing_sealed_is_read(used: Used, elsewhere: Stage) -> None:
    with pytest.raises(TokenKeyUnreadable):
        create_app(elsewhere.settings)
    seal = Seal(*elsewhere.settings.secret_keys)
    assert not [key for key in read_token_keys(elsewhere.database) if readable(seal, key.kid, key.private_sealed)]
    with elsewhere.database.read() as session:
        (target,) = list_targets(session)
    assert readable(seal, sealed_name(target.tenant_id), target.secret_sealed) is None
    assert "GATEHOUSE_SECRET_KEY" in gatehouse(elsewhere, "secrets", "check", code=1)


def test_row_108_under_another_pepper_no_key_and_no_code_works(used: Used, elsewhere: Stage) -> None:
    gatehouse(elsewhere, "token-keys", "rotate")  # or no server starts
    with elsewhere.serving() as live:
        for key in used.keys:
            problem(live.predict(key, instances(IRIS_ROW)), 401, "credential_invalid")
            assert access_token(live, key).status_code == 401
        assert problem(accept(live, used.code), 422, "invalid_input")["errors"][0]["pointer"] == "/code"
        for stored in hashes(elsewhere):
            problem(live.client.post("/login", json={"name": "first@acme", "password": stored}), 401, "credential_invalid")
        new = live.get("/.well-known/jwks.json").json()["keys"]
        assert len(new) == 2, "the old public half verifies what was signed before, until it ends"


def hashes(stage: Stage) -> list[str]:
    """Passwords as they are stored."""
    with sqlite3.connect(stage.state_dir / "gatehouse.db") as database:
        found = [row[0] for row in database.execute("SELECT password_hash FROM person WHERE password_hash IS NOT NULL")]
    database.close()
    assert found
    return found


def test_row_108_under_another_audit_key_the_trail_is_not_taken_for_proven(used: Used, elsewhere: Stage) -> None:
    assert "sealed under version 1 of the audit key, which is not known" in gatehouse(elsewhere, "audit", "verify", code=1)
    elsewhere.values["GATEHOUSE_AUDIT_KEY_VERSION"] = "1"
    assert "row 1 (id 1) was changed" in gatehouse(elsewhere, "audit", "verify", code=1)
    assert "GATEHOUSE_AUDIT_KEY (version 1) is not the key" in gatehouse(elsewhere, "token-keys", "rotate", code=1)


EXPORTS = (
    ("usage", "export", "--since", "0d", "--format", "ndjson"),
    ("usage", "export", "--since", "0d"),
    ("audit", "export", "--format", "ndjson"),
    ("audit", "export"),
    ("keys", "list", "--json"),
    ("people", "list", "--json"),
    ("tenants", "list", "--json"),
    ("notice-targets", "list", "--json"),
    ("token-keys", "list", "--json"),
)


@pytest.mark.parametrize("command", EXPORTS, ids=" ".join)
def test_row_108_no_export_holds_a_secret(used: Used, command: Sequence[str]) -> None:
    said = gatehouse(used.stage, *command)
    assert said.strip() not in ("", "[]")
    assert not [secret for secret in used.held if secret in said]
