"""docs/operations.md, "Secrets": each step as it is written there, while callers of every kind go on. No 401, no 5xx, no dropped call."""

import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import jwt
import psycopg
import pytest
from callers import PASSWORD, Callers, Credentials
from logged_in import invited
from own_postgresql import OwnPostgresql
from proxy import proxy_to
from serving_process import serving_process
from sqlalchemy import make_url
from stage import ROOT, Live, Stage, token_of, wait_until
from typer.testing import CliRunner
from written_steps import Step, written_steps

from gatehouse.cli import app
from gatehouse.db.migrate import upgrade
from gatehouse.db.session import open_database
from gatehouse.identity.token_keys import LEAD
from gatehouse.principal import TENANT_SCOPES, Role
from gatehouse.serving.recipes import train_recipe
from gatehouse.serving.trust import trusted_ids

SECRETS = ("GATEHOUSE_SECRET_KEY", "GATEHOUSE_KEY_PEPPER", "GATEHOUSE_AUDIT_KEY")
SECTIONS = ("A new pepper", "A new audit key", "A new GATEHOUSE_SECRET_KEY")
BEFORE_REMOVAL = 3
"""Steps until the pepper before is removed; all of the other sections."""
DATABASE = "rotated"


class Servers:
    """Two servers behind one address, which take their settings from the file of the state folder."""

    def __init__(self, stage: Stage, stack: ExitStack) -> None:
        self._stage, self._stack = stage, stack
        with ThreadPoolExecutor(2) as pool:
            self.running = list(pool.map(lambda _: stack.enter_context(serving_process(stage)), range(2)))
        self.proxy = stack.enter_context(proxy_to(*(server.port for server in self.running)))

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.proxy.port}"

    def restart_one_by_one(self, callers: Callers) -> None:
        for server in list(self.running):
            callers.go_on()
            assert server.terminate() in (0, -15)
            self.running.remove(server)
            self.running.append(self._stack.enter_context(serving_process(self._stage, server.port)))
        callers.go_on()


def gatehouse(state_dir: Path, arguments: Sequence[str]) -> str:
    """What a command says, which must do what it was asked; in a shell whose deployment is this folder."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("GATEHOUSE_")]:
            patch.delenv(name)
        patch.setenv("GATEHOUSE_STATE_DIR", str(state_dir))
        done = CliRunner().invoke(app, list(arguments), prog_name="gatehouse")
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, (arguments, done.output)
    return done.output


def set_in(file: Path, settings: Mapping[str, str]) -> None:
    """As an editor does."""
    lines = [line for line in file.read_text().splitlines() if line.partition("=")[0] not in settings] if file.exists() else []
    file.touch(0o600)
    file.write_text("\n".join([*lines, *(f"{name}={value}" for name, value in settings.items())]) + "\n")


def follow(sections: Sequence[list[Step]], file: Path, servers: Servers, callers: Callers, admin: str) -> None:
    """All sections at once: each up to its next restart, then the servers one by one, until no step is left."""
    left = [list(steps) for steps in sections]
    while any(left):
        stopped = [until_restart(steps, file, admin) for steps in left]
        if any(stopped):
            servers.restart_one_by_one(callers)


def until_restart(steps: list[Step], file: Path, admin: str) -> bool:
    """Do and take off steps; whether the last one asks for a restart."""
    while steps:
        step = steps.pop(0)
        do(step, file, admin)
        if step.restarts:
            return True
    return False


def do(step: Step, file: Path, admin: str) -> None:
    """One step, which says something to do."""
    assert step.commands or step.statements or step.settings, step.text
    for arguments in step.commands:
        if arguments == ["secrets", "remove", "GATEHOUSE_KEY_PEPPER"]:
            wait_until(lambda: "no key needs version 1" in gatehouse(file.parent, ["keys", "list", "--pepper", "1"]))
        gatehouse(file.parent, arguments)
    if step.statements:
        with psycopg.connect(admin, autocommit=True) as connection:
            for statement in step.statements:
                connection.execute(statement.encode())
    if step.settings:
        set_in(file, step.settings)


def changed_under_load(stage: Stage, sections: Sequence[list[Step]], admin: str = "", *, whole: bool) -> Counter[tuple[str, object]]:
    """What callers of two servers got meanwhile. What was set before is not current afterwards, and nothing is missed.

    Unless it is `whole`, the last step of the pepper is left out, which waits until all keys have moved.
    """
    key, lead = stage.tenant("acme", "iris"), stage.key("acme", scopes=TENANT_SCOPES)
    people = [invited(stage, name, Role.TENANT_ADMIN, "acme") for name in ("first", "late")]
    before, file = dict(stage.values), stage.state_dir / "settings.env"
    stage.state_dir.chmod(0o700)
    set_in(file, stage.values | {"GATEHOUSE_PUBLIC_URL": "http://gatehouse.test", "GATEHOUSE_DRAIN_S": "0.5"})
    stage.values = {}
    with ExitStack() as stack:
        servers = Servers(stage, stack)
        accept(servers.base_url, people[0].code)
        callers = Callers(servers.base_url, Credentials(key, lead, "first@acme"))
        stack.callback(callers.end)
        follow([steps[:BEFORE_REMOVAL] for steps in sections], file, servers, callers, admin)
        accept(servers.base_url, people[1].code)  # made under the first pepper, which it still needs
        if whole:
            follow([steps[BEFORE_REMOVAL:] for steps in sections], file, servers, callers, admin)
        callers.end()
        assert servers.proxy.failures == []
    now = dict(line.split("=", 1) for line in file.read_text().splitlines())
    assert not [name for name in SECRETS if now[name] == before[name]]
    assert "problem" not in gatehouse(stage.state_dir, ["secrets", "check"])
    assert not [name for name in SECRETS if before[name] in (stage.state_dir / "serve.log").read_text()]
    gatehouse(stage.state_dir, ["audit", "verify"])
    return callers.seen


def accept(base_url: str, code: str) -> None:
    """Set a person's password, by a code that was made under the first pepper."""
    answer = httpx2.post(f"{base_url}/login/accept", json={"code": code, "password": PASSWORD}, timeout=30)
    assert answer.status_code == 204, answer.text


def refusals(seen: Counter[tuple[str, object]]) -> dict[tuple[str, object], int]:
    """What was not answered as it should be; every kind of call must have been made."""
    assert len({kind for kind, _ in seen}) >= 7, seen
    return {(kind, status): number for (kind, status), number in seen.items() if status != 200}


# --------------------------------------------------- settings, and the database's password


@pytest.fixture
def administered(own_postgresql: OwnPostgresql) -> Iterator[str]:
    """The administrator's URL of a server that has the role `gatehouse`, its database, and asks both of its roles for their passwords."""
    admin = own_postgresql.new_database()
    with psycopg.connect(admin, autocommit=True) as connection:
        rules = Path(connection.execute("SHOW hba_file").fetchone()[0])  # type: ignore[index]
        before = rules.read_text()
        rules.write_text(f"host all gatehouse,gatehouse_2 127.0.0.1/32 scram-sha-256\n{before}")
        connection.execute("CREATE ROLE gatehouse LOGIN PASSWORD 'first'")
        connection.execute(f"CREATE DATABASE {DATABASE} OWNER gatehouse")
        connection.execute("SELECT pg_reload_conf()")
        yield admin
        connection.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")
        connection.execute("DROP ROLE IF EXISTS gatehouse_2")
        connection.execute("DROP ROLE gatehouse")
        rules.write_text(before)
        connection.execute("SELECT pg_reload_conf()")


def role_url(admin: str, role: str, password: str) -> str:
    return make_url(admin).set(username=role, password=password, database=DATABASE).render_as_string(hide_password=False)


@pytest.mark.endpoints("iris v1")
def test_row_106_all_settings_and_the_databases_password_are_changed_under_load_without_a_refusal(
    tmp_path: Path, published: Path, administered: str
) -> None:
    first, second = role_url(administered, "gatehouse", "first"), role_url(administered, "gatehouse_2", "second")
    database = open_database(first)
    upgrade(database)
    database.close()
    (tmp_path / "state").mkdir()
    stage = Stage(tmp_path / "state", published, first, ("iris v1",))
    address = make_url(administered)
    given = {"NEW": "second", "HOST": f"{address.host}:{address.port}", "NAME": DATABASE}
    sections = [*map(written_steps, SECTIONS), written_steps("A new database password", **given)]
    seen = changed_under_load(stage, sections, administered, whole=False)
    stage.close()
    assert refusals(seen) == {}
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        psycopg.connect(first)
    with psycopg.connect(second) as connection:
        owners = connection.execute("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'").fetchall()
    assert owners == [("gatehouse",)]


@pytest.mark.soak
@pytest.mark.endpoints("iris v1")
def test_row_106_every_step_for_each_setting_is_taken_under_load_without_a_refusal(stage_on_each_database: Stage) -> None:
    assert refusals(changed_under_load(stage_on_each_database, [*map(written_steps, SECTIONS)], whole=True)) == {}


# ------------------------------------------------------- what no server is restarted for


@contextmanager
def called(stage: Stage) -> Iterator[tuple[Live, Callers]]:
    """A server and its callers; the settings in the file too, for commands."""
    key, lead = stage.tenant("acme", "iris"), stage.key("acme", scopes=TENANT_SCOPES)
    set_in(stage.state_dir / "settings.env", stage.values)
    code = invited(stage, "first", Role.TENANT_ADMIN, "acme").code
    with stage.serving() as live, ExitStack() as stack:
        accept(live.base_url, code)
        callers = Callers(live.base_url, Credentials(key, lead, "first@acme"))
        stack.callback(callers.end)
        callers.go_on()
        yield live, callers
        callers.go_on()
        callers.end()


@pytest.mark.endpoints("iris v1")
def test_row_106_a_publishing_key_is_changed_under_load_without_a_refusal(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old one leaves the servers, and what it has signed is not loaded by one that starts."""
    elsewhere = publisher(stage, tmp_path / "publisher")
    monkeypatch.chdir(tmp_path)
    trusted = stage.state_dir / "trusted-keys"
    (old,) = trusted_ids(trusted)
    with called(stage) as (live, callers):
        for step in written_steps("A new publishing key", ID=old, FILE="public.pem"):
            for arguments in step.commands:
                gatehouse(elsewhere if step.text.startswith("Where you publish") else stage.state_dir, arguments)
            (new,) = trusted_ids(elsewhere / "trusted-keys")
            shutil.copyfile(elsewhere / "trusted-keys" / f"{new}.pem", "public.pem")
        wait_until(lambda: live.get("/v1/models/iris", stage.issued[0]).json()["model_version"] == "1.0.1")
    assert refusals(callers.seen) == {}
    assert trusted_ids(trusted) == (new,)
    with stage.serving() as again:
        assert again.get("/v1/models/iris", stage.issued[0]).json()["model_version"] == "1.0.1"


def publisher(stage: Stage, folder: Path) -> Path:
    """A deployment that only publishes, into the models of the other; its working folder has what is published."""
    folder.mkdir(mode=0o700)
    gatehouse(folder, ["secrets", "create", "--write"])
    set_in(folder / "settings.env", {"GATEHOUSE_MODELS_DIR": str(stage.state_dir / "models")})
    recipe = ROOT / "models" / "iris"
    (folder.parent / "iris.joblib").write_bytes(train_recipe(recipe, "v1"))
    shutil.copyfile(recipe / "v1.toml", folder.parent / "v1.toml")
    return folder


@pytest.mark.soak
@pytest.mark.endpoints("iris v1")
def test_row_106_a_token_key_is_changed_under_load_without_a_refusal(stage_on_each_database: Stage) -> None:
    stage = stage_on_each_database
    with called(stage) as (live, callers):
        for command in ("token-keys rotate --wait", "token-keys list"):
            gatehouse(stage.state_dir, command.split())
        first, key = jwt.get_unverified_header(token_of(live, stage.issued[0]))["kid"], stage.issued[0]
        wait_until(lambda: jwt.get_unverified_header(token_of(live, key))["kid"] != first, LEAD.total_seconds() + 10)
    assert refusals(callers.seen) == {}
