"""The command line as a whole: help, refusals without a traceback, who did it, and what it leaves unloaded."""

import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from gatehouse.cli import COMMANDS, load_command
from gatehouse.db.migrate import is_current
from gatehouse.db.session import open_database
from gatehouse.db.tables import AuditTable


def commands() -> Iterator[tuple[str, ...]]:
    for noun in COMMANDS:
        yield (noun,)
        for verb in getattr(load_command(noun), "commands", ()):
            yield noun, verb


@pytest.mark.parametrize("words", [*commands()], ids=" ".join)
def test_every_help_has_an_example_of_its_own_command(gatehouse: Any, words: tuple[str, ...]) -> None:
    assert f"gatehouse {' '.join(words)}" in gatehouse(*words, "--help").out.partition("Example:")[2]


def test_where_a_file_goes_is_one_option_in_every_help_and_its_older_name_is_taken(gatehouse: Any) -> None:
    writing = [words for words in commands() if "  --output FILE" in gatehouse(*words, "--help").out]
    assert {("audit", "export"), ("contracts", "draft"), ("migration", "guide"), ("usage", "export")} <= set(writing)
    for words in writing:
        assert "--out " not in gatehouse(*words, "--help").out
        assert gatehouse(*words, "--out", code=2).error.startswith("gatehouse: Option '--output' requires an argument.")


def loaded_by(*arguments: str) -> tuple[str, set[str]]:
    """What a command prints, and which modules it loads."""
    code = "import sys; from gatehouse.cli import main\ntry: main()\nfinally: print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, env=dict(os.environ))
    return done.stdout, set(done.stderr.split())


def test_help_lists_all_nouns_and_loads_nothing_heavy() -> None:
    out, loaded = loaded_by("--help")
    assert all(f"  {noun} " in out for noun in COMMANDS)
    assert not loaded & {"sklearn", "onnxruntime", "fastapi", "numpy", "sqlalchemy", "pydantic", "rich"}


def test_keys_are_made_without_loading_models_or_servers(published: Any) -> None:
    published("tenants", "create", "acme", "--models", "pair")
    out, loaded = loaded_by("keys", "create", "--tenant", "acme")
    assert "/v1/models/pair/predict" in out
    assert not loaded & {"sklearn", "onnxruntime", "fastapi", "scipy"}


def test_keys_are_listed_without_loading_contracts_or_the_other_database(gatehouse: Any) -> None:
    gatehouse("tenants", "create", "acme")
    out, loaded = loaded_by("keys", "list")
    assert "no keys" in out
    assert "sqlalchemy" in loaded
    assert not loaded & {"sklearn", "onnxruntime", "fastapi", "numpy", "cryptography", "jose", "psycopg"}


def test_usage_is_shown_without_loading_what_reckons(gatehouse: Any) -> None:
    gatehouse("tenants", "create", "acme")
    out, loaded = loaded_by("usage", "show")
    assert "no call" in out
    assert {"sqlalchemy", "gatehouse.cli.usage_erase"} <= loaded
    assert not loaded & {"sklearn", "onnxruntime", "fastapi", "numpy", "cryptography", "jose", "psycopg"}


def test_tenants_are_listed_without_loading_what_reckons(gatehouse: Any) -> None:
    gatehouse("tenants", "create", "acme")
    out, loaded = loaded_by("tenants", "list")
    assert "acme" in out
    assert "sqlalchemy" in loaded
    assert not loaded & {"sklearn", "onnxruntime", "fastapi", "numpy", "cryptography", "jose", "psycopg"}


def test_version_and_unknown_commands(gatehouse: Any) -> None:
    assert gatehouse("--version").out.strip()[0].isdigit()
    assert "No such command 'tenant'. Did you mean 'tenants'" in gatehouse("tenant", code=2).error


@pytest.mark.parametrize("count", ["0", "-1", "65"])
def test_a_count_of_workers_that_cannot_serve_is_refused_with_the_range(gatehouse: Any, count: str) -> None:
    assert (
        f"{count} processes cannot serve; write 1 to 64, usually one for each core" in gatehouse("serve", "--workers", count, code=2).error
    )


def test_missing_secrets_are_said_in_one_line(gatehouse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GATEHOUSE_KEY_PEPPER")
    answer = gatehouse("tenants", "list", code=1)
    assert answer.error.startswith("gatehouse: GATEHOUSE_KEY_PEPPER is not set; set it to 32 or more random characters")
    assert "gatehouse dev makes a local deployment" in answer.error
    assert (answer.out, answer.error.count("\n")) == ("", 1)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://db.invalid/gatehouse", "GATEHOUSE_DATABASE_URL: 'mysql' is not supported"),
        ("postgresql://gatehouse:hush-hush@127.0.0.1:1/gatehouse", "cannot be reached"),
        ("sqlite:////nonexistent/folder/gatehouse.db", "cannot be reached"),
        ("postgresql://gatehouse:a@hush-hush@127.0.0.1:1/gatehouse", "percent-encoded"),
        ("postgresql://gatehouse:a@b:hush-hush@127.0.0.1/gatehouse", "percent-encoded"),
        ("postgresql://127.0.0.1:1/gatehouse?user=x&password=hush-hush", "percent-encoded"),
        ("postgresql://gatehouse:hush-hush@127.0.0.1:5x/gatehouse", "percent-encoded"),
    ],
)
def test_a_database_that_is_not_there_is_said_in_one_line(gatehouse: Any, monkeypatch: pytest.MonkeyPatch, url: str, said: str) -> None:
    monkeypatch.setenv("GATEHOUSE_DATABASE_URL", url)
    answer = gatehouse("tenants", "list", code=1)
    assert said in answer.error
    assert "hush-hush" not in answer.error
    assert (answer.out, answer.error.count("\n")) == ("", 1)


def test_a_database_that_fails_later_is_said_in_one_line(gatehouse: Any, state_dir: Path) -> None:
    database = open_database(f"sqlite:///{state_dir / 'gatehouse.db'}")
    with database.write() as session:
        session.connection().exec_driver_sql("DROP TABLE api_key")
    database.close()
    assert gatehouse("keys", "list", code=1).error == "gatehouse: the database failed, nothing was changed: no such table: api_key\n"


def test_a_state_folder_that_cannot_be_made_is_said_in_one_line(gatehouse: Any, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GATEHOUSE_STATE_DIR", str(tmp_path / "file" / "state"))
    answer = gatehouse("tenants", "list", code=1)
    assert "cannot be made: Not a directory" in answer.error


def test_a_database_that_is_behind_is_migrated_first(gatehouse: Any, state_dir: Path) -> None:
    (state_dir / "gatehouse.db").unlink()
    gatehouse("tenants", "create", "acme")
    database = open_database(f"sqlite:///{state_dir / 'gatehouse.db'}")
    assert is_current(database)
    database.close()


def test_the_audit_names_the_user_of_the_system_and_not_a_variable(
    gatehouse: Any, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "mallory")
    gatehouse("tenants", "create", "acme")
    database = open_database(f"sqlite:///{state_dir / 'gatehouse.db'}")
    with database.read() as session:
        [row] = session.exec(select(AuditTable)).all()
    database.close()
    assert (row.actor, row.source) == (f"os-user:{pwd.getpwuid(os.getuid()).pw_name}", "cli")


def test_commands_work_on_postgresql(gatehouse: Any, postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEHOUSE_DATABASE_URL", postgresql_url)
    gatehouse("tenants", "create", "acme")
    made = gatehouse("keys", "create", "--tenant", "acme", "--json").json
    assert gatehouse("keys", "revoke", made["id"], "--json").json["state"] == "revoked"
    assert gatehouse("usage", "show", "--json").json == []
